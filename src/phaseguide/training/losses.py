"""The loss: cross-entropy, soft Dice and a composition term, all over labelled pixels only."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED


def one_hot_labels(labels: Tensor, n_phases: int) -> tuple[Tensor, Tensor]:
    """Return one-hot phases, shape (B, K, H, W), and the mask of labelled pixels, shape (B, 1, H, W)."""
    known = (labels != NOT_CLASSIFIED) & (labels != EXCLUDED)
    target = torch.where(known, labels - 1, torch.zeros_like(labels))
    mask = known[:, None].float()
    return F.one_hot(target, n_phases).movedim(-1, 1).float() * mask, mask


def crop_ratios(labels: Tensor, n_phases: int) -> Tensor:
    """Ratio of each crop, shape (B, K); NaN rows where it is undefined.

    A crop that holds pixels nobody has classified has no ratio; excluded pixels leave the denominator.
    """
    counts = torch.stack([(labels == k).flatten(1).sum(1) for k in range(1, n_phases + 1)], 1).float()
    total = counts.sum(1, keepdim=True)
    undefined = (labels == NOT_CLASSIFIED).flatten(1).any(1, keepdim=True) | (total == 0)
    return torch.where(undefined, torch.full_like(counts, torch.nan), counts / total.clamp_min(1))


def dice_loss(p: Tensor, target: Tensor, weight: float) -> Tensor:
    """Weighted soft Dice over the phases of a batch; one-hot labels and probabilities are 0 without a label."""
    overlap, size = (p * target).sum((0, 2, 3)), target.sum((0, 2, 3))
    dice = (2 * overlap + 1) / (p.sum((0, 2, 3)) + size + 1)
    present = (size > 0).float()
    return weight * ((1 - dice) * present).sum() / present.sum().clamp_min(1)


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    dice_weight: float,
    composition_weight: float,
    asked: Tensor | None = None,
    cross_entropy_weight: float = 1.0,
    composition_loss: Literal["l1", "mse"] = "l1",
) -> Tensor:
    """Masked cross-entropy + Dice + composition.

    The composition term compares the soft area shares of each crop with its true ones, where the crop has a ratio, or
    with those that were asked: a network that sees the answer in the image anyway learns to ignore its ratio unless it
    is held to it. ``l1`` is the sum of absolute differences over the phases (after Liu et al. 2024, "Do we really need
    Dice?"), ``mse`` the mean of squared ones (Phase Learning Module manuscript); both are means over the crops. The
    Dice term pools the batch, and leaves out phases that the batch does not hold. Logits (B, K, H, W); labels (B, H,
    W), where 0 and 255 have no influence; ``asked`` (B, K), NaN rows where no ratio was shown. 0 with a gradient of 0
    when nothing is labelled.
    """
    n_phases = logits.shape[1]
    target, mask = one_hot_labels(labels, n_phases)
    log_p = F.log_softmax(logits.float(), dim=1)
    p = log_p.exp() * mask
    n = mask.sum().clamp_min(1)
    loss = -cross_entropy_weight * (target * log_p).sum() / n
    if dice_weight:
        loss = loss + dice_loss(p, target, dice_weight)
    if composition_weight:
        wanted = crop_ratios(labels, n_phases)
        if asked is not None:
            wanted = torch.where(torch.isnan(asked) | torch.isnan(wanted), wanted, asked)
        defined = ~torch.isnan(wanted).any(1)
        soft = p.sum((2, 3)) / mask.sum((2, 3)).clamp_min(1)
        apart = soft - wanted.nan_to_num()
        gap = (apart.abs().sum(1) if composition_loss == "l1" else apart.square().mean(1)) * defined
        loss = loss + composition_weight * gap.sum() / defined.sum().clamp_min(1)
    return loss
