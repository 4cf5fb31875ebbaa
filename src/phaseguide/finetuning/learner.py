"""What learns and how: the parts, their optimiser, one step, the moving average."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.crops import Crop, has_labels
from phaseguide.finetuning.feature_cache import FeatureCache, cache_for, varied
from phaseguide.finetuning.losses import (
    anchor_loss,
    label_loss,
    soft_shares,
    squared_ratio_loss,
    squared_window_loss,
    tolerant_ratio_loss,
)  # fmt: skip
from phaseguide.models.backbones.base import Features, is_batch_norm
from phaseguide.models.rephase import GROWN
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.models.training_record import generations
from phaseguide.training.adapters import encoded
from phaseguide.training.augmentation import (
    SYMMETRIES,
    jitter_brightness,
    random_grid,
    sample_crop,
    turned,
    vary_light,
)
from phaseguide.training.dropout import own_draws, own_dropout
from phaseguide.training.losses import crop_ratios
from phaseguide.training.prompting import decode_shown
from phaseguide.training.stages import noisy_ratios, update_average

if TYPE_CHECKING:
    from phaseguide.models.card import Card

WARM = 0.02
"""Share of a run in which the rate rises."""

_FAR = 256


@dataclass(frozen=True)
class Material:
    """Everything a run learns from, cut into crops: those around the user's labels, then rehearsal, then tiles of
    fields with a ratio.

    ``fields`` tells for each source with a ratio, or group of such, the indices of its tiles, the ratio (NaN where
    open) and its tolerance.
    """

    crops: list[Crop]
    taught: int
    rehearsed: int
    fields: dict[str, tuple[list[int], Tensor, float]]


@dataclass(frozen=True)
class _Batch:
    """Features, labels (B, H, W), what is far from labels, and what was drawn: the image where it was varied
    freely, and crops and symmetries.
    """

    features: Features
    labels: Tensor
    far: Tensor
    image: Tensor | None
    picks: Sequence[tuple[int, int]]


class Learner:
    """A model that learns (a copy), its moving average, and the best so far.

    ``anchored`` says whether what the model says far from labels is worth keeping; see `knows_its_phases`. A learner
    that is ``beside`` another, with the same windows and other labels in them, shares what does not learn: anchor
    and features.
    """

    def __init__(
        self,
        segmenter: GuidedSegmenter,
        material: Material,
        config: FinetuneConfig,
        device: torch.device,
        *,
        anchored: bool,
        beside: Learner | None = None,
    ) -> None:
        self.config, self.device, self.beside = config, device, beside
        self.model = copy.deepcopy(segmenter).to(device)
        self.model = self.model.to(memory_format=torch.channels_last)
        if config.guidance_start is not None:
            for name, value in self.model.guidance.named_parameters():
                if name.rpartition(".")[2] in ("gamma", "delta"):
                    torch.nn.init.constant_(value, config.guidance_start)
        self.average = copy.deepcopy(self.model).eval()
        self.dropping = torch.Generator()
        own_dropout(self.model, self.dropping)
        self.best = copy.deepcopy(self.average)
        self.anchor: GuidedSegmenter | None = None
        if beside is not None:
            self.anchor = beside.anchor
        elif anchored and config.anchor_weight:
            self.anchor = copy.deepcopy(self.average)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.slowed = 1.0
        self.take(material)
        self.optimiser = self._optimiser()

    def take(self, material: Material) -> None:
        """Learn from this material from now on."""
        self.material = material
        self.taught = [i for i, crop in enumerate(material.crops[: material.taught]) if has_labels(crop)]
        self.rehearsed = range(material.taught, material.taught + material.rehearsed)
        self.forget_features()
        counts = torch.zeros(len(self.model.scheme))
        for crop in material.crops[: material.taught + material.rehearsed]:
            counts += torch.bincount(crop.labels.reshape(-1), minlength=256)[1 : len(counts) + 1]
        self.counts = counts.to(self.device)

    def forget_features(self) -> None:
        """Drop features that were computed; they come again when they are needed."""
        self.cache: FeatureCache | None
        self.anchor_cache: FeatureCache | None
        if self.beside is not None:
            self.cache, self.anchor_cache = self.beside.cache, self.beside.anchor_cache
            return
        parts, seed = self.config.parts, self.config.seed
        self.cache = cache_for(parts, self.model, self.device, seed)
        # The anchor does not learn at all, so that its features of a turned crop stay what they are.
        self.anchor_cache = (
            FeatureCache(self.anchor, self.device, seed)
            if self.anchor is not None and parts == "adapters"
            else None
        )

    def modules(self) -> dict[str, nn.Module]:
        """Everything that a checkpoint must hold: the parts that learn, of each of the three models."""
        return {
            f"{which}/{name}": part
            for which in ("model", "average", "best")
            for name, part in self.parts(getattr(self, which)).items()
        }

    def parts(self, segmenter: GuidedSegmenter) -> dict[str, nn.Module]:
        """The parts of a model that learn."""
        learning = {**segmenter.backbone.decoder_parts(), "guidance": segmenter.guidance}
        if self.config.parts == "fast":
            return learning
        return {**segmenter.backbone.encoder_parts(), **learning}

    def keep_as_best(self) -> None:
        """Remember the averaged model."""
        self.best.load_state_dict(self.average.state_dict())

    def go_back(self) -> None:
        """Return to the best model, at a tenth of the rate, with a fresh optimiser."""
        self.model.load_state_dict(self.best.state_dict())
        self.average.load_state_dict(self.best.state_dict())
        self.slowed *= 0.1
        self.optimiser = self._optimiser()

    def step(self, number: int, batch: int, done: float) -> float:
        """Learn from one batch of crops with labels, and of tiles of a field with a ratio, and return its loss.

        ``done`` is the share of the run that is over; the rate warms up and then falls along a half cosine.
        """
        self._set_rate(done)
        self._set_modes(batch)
        self.dropping.manual_seed(self.config.seed * 1_000_003 + number)
        with own_draws(self.dropping, self.device):
            loss = torch.zeros((), device=self.device)
            if self.taught or self.rehearsed:
                loss = loss + self._label_term(batch)
            if self.material.fields and self.config.ratio_weight:
                loss = loss + self.config.ratio_weight * self._field_term(number, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if limit := self.config.clip_gradient:
            nn.utils.clip_grad_norm_((p for g in self.optimiser.param_groups for p in g["params"]), limit)
        self.optimiser.step()
        if self.config.average:
            for name, part in self.parts(self.average).items():
                update_average(part, self.parts(self.model)[name], self.config.average, number)
        else:
            self.average.load_state_dict(self.model.state_dict())
        return value

    # -- the terms of the loss --------------------------------------------------------------------

    def _label_term(self, batch: int) -> Tensor:
        c, new, old = self.config, self.taught, self.rehearsed
        rehearsal = round(batch * c.rehearsal) if old and new else (batch if old else 0)
        picks = [self._draw(new) for _ in range(batch - rehearsal)]
        picks += [self._draw(old) for _ in range(rehearsal)]
        drawn = self._batch(picks)
        ratios = self._shown(self._ratios(drawn))
        labels = drawn.labels.to(self.device)
        ratios = None if ratios is None else ratios.to(self.device)
        logits = decode_shown(self.model, drawn.features, ratios, labels, self.generator)
        loss = label_loss(
            logits,
            labels,
            self.counts,
            cross_entropy_weight=c.cross_entropy_weight,
            dice_weight=c.dice_weight,
            balance=c.balance,
        )
        if self.anchor is not None:
            with torch.no_grad():
                before = self.anchor.decode(self._features_of(self.anchor, drawn))
            loss = loss + c.anchor_weight * anchor_loss(logits, before, drawn.far.to(self.device))
        if c.ratio_loss == "mse":
            loss = loss + c.ratio_weight * squared_window_loss(logits, labels)
        return loss

    def _field_term(self, number: int, batch: int) -> Tensor:
        """Compare the mean over tiles of one field with what was said about it."""
        m = self.material
        tiles, ratio, tolerance = list(m.fields.values())[number % len(m.fields)]
        order = torch.randperm(len(tiles), generator=self.generator)[: max(2, batch)].tolist()
        picks = [(tiles[i], int(torch.randint(SYMMETRIES, (1,), generator=self.generator))) for i in order]
        drawn = self._batch(picks)
        # Every other time the guidance is told what it is then held to, or always where no ratio is left out.
        told = None
        if (number % 2 or not self.config.ratio_dropout) and not bool(torch.isnan(ratio).any()):
            told = ratio[None].expand(len(picks), -1).to(self.device)
        shares = soft_shares(self.model.decode(drawn.features, told), drawn.labels.to(self.device))
        ratio = ratio.to(self.device)
        if self.config.ratio_loss == "mse":
            return squared_ratio_loss(shares, ratio)
        return tolerant_ratio_loss(shares, ratio, tolerance)

    # -- drawing ----------------------------------------------------------------------------------

    def _draw(self, crops: Sequence[int]) -> tuple[int, int]:
        crop = crops[int(torch.randint(len(crops), (1,), generator=self.generator))]
        return crop, int(torch.randint(SYMMETRIES, (1,), generator=self.generator))

    def _batch(self, picks: Sequence[tuple[int, int]]) -> _Batch:
        crops = self.material.crops
        if self.config.parts != "thorough":
            labels = torch.stack([turned(crops[i].labels, symmetry) for i, symmetry in picks])
            far = torch.stack([turned(crops[i].far, symmetry) for i, symmetry in picks])
            return _Batch(self._turned_features(picks), labels, far, None, picks)
        drawn = [self._augmented(crops[i], symmetry) for i, symmetry in picks]
        image = torch.stack([d[0] for d in drawn])
        if self.config.augmentation == "plain":
            image = vary_light(image, self.generator)
        else:
            image = jitter_brightness(image, 0.1, self.generator)
        image = image.to(self.device, memory_format=torch.channels_last)
        labels, far = torch.stack([d[1] for d in drawn]), torch.stack([d[2] for d in drawn])
        return _Batch(encoded(self.model, self.model.encode, image), labels, far, image, picks)

    def _turned_features(self, picks: Sequence[tuple[int, int]]) -> Features:
        """The model's features of crops that are only turned; gradients reach what of its encoder learns."""
        crops = self.material.crops
        if self.cache is not None:
            return self.cache.completed(self.model, self.cache.features(crops, picks))
        pixels = [varied(crops[i].pixels, i, symmetry, self.config.seed) for i, symmetry in picks]
        image = torch.stack(pixels).to(self.device, memory_format=torch.channels_last)
        return encoded(self.model, self.model.encode, image)

    def _features_of(self, anchor: GuidedSegmenter, drawn: _Batch) -> Features:
        """The anchor's features of a batch."""
        if drawn.image is not None:
            return encoded(anchor, anchor.encode, drawn.image)
        if self.anchor_cache is not None:
            return self.anchor_cache.features(self.material.crops, drawn.picks)
        return drawn.features  # the encoder is the model's too

    def _augmented(self, crop: Crop, symmetry: int) -> tuple[Tensor, Tensor, Tensor]:
        """Warp, turn and zoom a crop; one whose labels would all fall outside is only turned, as all are if plain."""
        if self.config.augmentation == "plain":
            return turned(crop.pixels, symmetry), turned(crop.labels, symmetry), turned(crop.far, symmetry)
        side = crop.labels.shape[0]
        grid = random_grid(side, side, side, 0.25, self.generator)
        # Labels and what is far from them go through one resampling.
        pixels, marks = sample_crop(crop.pixels, crop.labels + _FAR * crop.far, grid)
        labels, far = marks % _FAR, marks >= _FAR
        if bool(((labels > 0) & (labels < 255)).any()) or crop.ratio_of >= 0:
            return pixels, labels, far
        return turned(crop.pixels, symmetry), turned(crop.labels, symmetry), turned(crop.far, symmetry)

    def _ratios(self, drawn: _Batch) -> Tensor:
        """Ratios (B, K) of the windows of a batch; by all labels only where windows are turned, which keeps shares."""
        k = len(self.model.scheme)
        turned_only = self.config.parts != "thorough" or self.config.augmentation == "plain"
        if self.config.ratio_from == "all" and turned_only:
            return torch.stack([self.material.crops[i].ratio(k) for i, _ in drawn.picks])
        return crop_ratios(drawn.labels, k)

    def _shown(self, ratios: Tensor) -> Tensor | None:
        """Ratios of fully labelled crops as a user would give them; None if there are none to show."""
        if not len(self.model.guidance) or not self.model.takes_ratio:
            return None
        return noisy_ratios(ratios, self.config.ratio_dropout, self.config.ratio_noise, self.generator)

    # -- optimiser --------------------------------------------------------------------------------

    def _optimiser(self) -> torch.optim.Optimizer:
        c = self.config
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        groups: list[dict[str, Any]] = []
        for name, part in self.parts(self.model).items():
            part.requires_grad_(True)
            rate = c.learning_rate * self.slowed * (c.encoder_rate if name == "encoder" else 1.0)
            groups.append({"params": list(part.parameters()), "lr": rate, "peak": rate})
        groups = [g for g in groups if g["params"]]
        kind = torch.optim.AdamW if c.optimiser == "adamw" else torch.optim.Adam
        return kind(groups, weight_decay=c.weight_decay)

    def _set_rate(self, done: float) -> None:
        if self.config.rate_schedule == "constant":
            return  # groups begin at their peak
        warm = min(1.0, (done + 1e-3) / WARM)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * warm * fall

    def _set_modes(self, batch: int) -> None:
        self.model.train()
        for module in self.model.modules():
            # A handful of crops says little about the mean and spread of a feature.
            if is_batch_norm(module) and batch < 8:
                module.eval()
        if self.config.parts == "fast":
            for part in self.model.backbone.encoder_parts().values():
                part.eval()


def knows_its_phases(card: Card) -> bool:
    """Whether a model, or one that it descends from, was trained on whole labelled images of all its phases.

    One that has only ever seen strokes, or has been given phases since, is still learning everywhere.
    """
    for record in generations(card.training):
        if record.get(GROWN) or record.get("images"):
            return not record.get(GROWN)
    return False
