"""The loss of fine-tuning: labels where there are some, area shares where only a ratio is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from phaseguide.phases import EXCLUDED
from phaseguide.ratios import FLOOR
from phaseguide.training.losses import dice_loss, one_hot_labels


def label_loss(
    logits: Tensor,
    labels: Tensor,
    counts: Tensor,
    *,
    cross_entropy_weight: float,
    dice_weight: float,
    balance: float,
) -> Tensor:
    """Cross-entropy and soft Dice over labelled pixels.

    Strokes are no random sample: a phase is painted as much as the user happened to paint it. So a pixel of a phase
    counts by ``(mean count / count) ** (1 - balance)`` of the labelled pixels of all crops. Logits (B, K, H, W);
    labels (B, H, W), of which 0 and 255 teach nothing; counts (K,).
    """
    target, mask = one_hot_labels(labels, logits.shape[1])
    log_p = F.log_softmax(logits.float(), dim=1)
    present = counts > 0
    mean = counts[present].mean() if bool(present.any()) else counts.new_tensor(1.0)
    weight = torch.where(present, (mean / counts.clamp_min(1)) ** (1 - balance), torch.zeros_like(counts))
    weighted = target * weight[None, :, None, None]
    loss = -cross_entropy_weight * (weighted * log_p).sum() / weighted.sum().clamp_min(1)
    if dice_weight:
        loss = loss + dice_loss(log_p.exp() * mask, target, dice_weight)
    return loss


def anchor_loss(logits: Tensor, before: Tensor, where: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the model to what it was before, over some pixels.

    Learning without forgetting (Li, Hoiem 2016), on the very images that are learnt from. Logits (B, K, H, W), mask
    (B, H, W).
    """
    log_p, log_q = F.log_softmax(logits.float(), dim=1), F.log_softmax(before.float(), dim=1)
    apart = (log_q.exp() * (log_q - log_p)).sum(1)
    return (apart * where).sum() / where.sum().clamp_min(1)


def soft_shares(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean probability of each phase over the pixels of a batch that are not excluded, shape (K,)."""
    keep = (labels != EXCLUDED)[:, None].float()
    p = torch.softmax(logits.float(), dim=1) * keep
    return p.sum((0, 2, 3)) / keep.sum().clamp_min(1)


def squared_window_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of the soft area shares of each window to its true ones, both over its labelled pixels.

    Mean over the phases and over the windows that have a label. Logits (B, K, H, W), labels (B, H, W).
    """
    target, mask = one_hot_labels(labels, logits.shape[1])
    known = mask.sum((2, 3)).clamp_min(1)
    soft, true = ((p * mask).sum((2, 3)) / known for p in (torch.softmax(logits.float(), 1), target))
    labelled = (mask.sum((1, 2, 3)) > 0).float()
    return ((soft - true).square().mean(1) * labelled).sum() / labelled.sum().clamp_min(1)


def tolerant_ratio_loss(shares: Tensor, ratio: Tensor, tolerance: float) -> Tensor:
    """How far area shares are from a ratio, beyond what its tolerance allows.

    Mean over the given phases of ``max(0, |log(share / ratio)| - tolerance)``, each weighted by the square root of its
    ratio, so that a trace phase does not decide alone. This is learning from label proportions (Quadrianto et al.
    2009) with a dead zone as wide as the user's own doubt. Shapes are (K,), NaN where open.
    """
    given = ~torch.isnan(ratio)
    wanted = ratio.nan_to_num().clamp_min(FLOOR)
    apart = (torch.log(shares.clamp_min(FLOOR)) - torch.log(wanted)).abs()
    weight = wanted.sqrt() * given
    return (torch.relu(apart - tolerance) * weight).sum() / weight.sum().clamp_min(1e-6)


def squared_ratio_loss(shares: Tensor, ratio: Tensor) -> Tensor:
    """Mean squared error of area shares over the given phases, as published for the Phase Learning Module."""
    given = ~torch.isnan(ratio)
    return ((shares - ratio.nan_to_num()) ** 2 * given).sum() / given.sum().clamp_min(1)
