"""The rows of a report over folds: which ratios are studied, and how one of them is measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted, StudyResult, evaluate
from phaseguide.events import Finished, Progress
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import find_source
from phaseguide.segmentation.request import Mode
from phaseguide.segmentation.session import Session
from phaseguide.studies.statistics import paired_difference

Study = Literal["belief", "conditioning", "fusion"]

VISUAL = find_source("visual").uncertainty
GUESSES = (0.9, 0.8, 0.7, 0.6, 0.5)
ERRORS = (0.05, 0.1, 0.2, 0.3, 0.5)
STATED = (0.0, 0.03, 0.1, 0.2, 0.6, 1.0)


@dataclass(frozen=True)
class Spec:
    """A source of ratios, where they act, and the uncertainty stated with them (0: exact).

    ``scores`` are those that are matched: calibrated by the score head, or as the network gives them.
    """

    source: str
    mode: Mode | None = None
    uncertainty: float = 0.0
    scores: Literal["calibrated", "plain"] = "calibrated"


NONE = Spec("none")
"""The first row of every study; the others are compared with it."""

ROWS: dict[Study, tuple[Spec, ...]] = {
    "belief": (
        NONE,
        *(Spec(name) for name in ("own", "autoregressive", "prior-shift")),
        Spec("train-mean", "matched"),
        Spec("oracle", "matched"),
        Spec("oracle", "matched", scores="plain"),
        *(Spec(f"expert:{e:g}", "matched", e) for e in (0.05, 0.1, 0.2)),
        Spec("expert:0.1", "matched", 0.1, "plain"),
        *(Spec(f"expert:{e:g}", "matched", VISUAL) for e in ERRORS),
        *(Spec(f"guess:{a:g}", "matched", VISUAL) for a in GUESSES),
        *(Spec("expert:0.1", "matched", u) for u in STATED if u != 0.1),
    ),
    "conditioning": (
        NONE,
        *(Spec("oracle", mode) for mode in ("conditioned", "matched", "both")),
        *(Spec("expert:0.1", mode, 0.1) for mode in ("conditioned", "matched", "both")),
    ),
    "fusion": (
        NONE,
        Spec("own"),
        Spec("autoregressive"),
        *(
            Spec(source, mode, stated)
            for source, stated in (
                ("oracle", 0.0),
                *((f"expert:{e:g}", e) for e in (0.05, 0.1, 0.2)),
                ("expert:0.1", 0.0),
                *((f"expert:{e:g}", VISUAL) for e in ERRORS),
                *((f"guess:{a:g}", VISUAL) for a in GUESSES),
            )
            for mode in ("conditioned", "matched", "both")
        ),
    ),
}
"""Belief: ratios of every quality, by matching. Conditioning: what the network itself does with a ratio. Fusion: what
guidance on scores does that is learnt on the other folds (`phaseguide.studies.folds.fusion`)."""


@dataclass(frozen=True)
class FoldModel:
    """A model and the images it must be tested on, none of which it has seen."""

    fold: str
    path: Path
    test: tuple[str, ...]


@dataclass
class Row:
    """Confusion matrices of each draw by fold, and means by image, of one source and mode.

    Attributes
    ----------
    folds : dict of str to ndarray of int64, shape (draws, K, K + 1)
    dice, fraction_pp : dict of str to float
        By image.
    variation : list of float
        Total variation between asked and true composition, for each draw and image.
    """

    spec: Spec
    net: str = "guided"
    folds: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    fraction_pp: dict[str, float] = field(default_factory=dict)
    phase_pp: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    variation: list[float] = field(default_factory=list)

    def pooled_draws(self) -> NDArray[np.int64]:
        """Confusion matrices over all folds, one a draw."""
        total: NDArray[np.int64] = np.sum(list(self.folds.values()), axis=0)
        return total

    @property
    def error_pp(self) -> float:
        """Mean magnitude of (achieved - true) over images and phases, in percentage points."""
        return float(np.mean(list(self.fraction_pp.values())))

    def to_dict(self, base: Row, scheme: PhaseScheme) -> dict[str, Any]:
        """Return the numbers of the row; ``base`` is the row without a ratio."""
        draws = self.pooled_draws()
        pooled = scores_from_confusion(draws.sum(0))
        dice = np.array([scores_from_confusion(c).dice_mean for c in draws])
        start = scores_from_confusion(base.pooled_draws().sum(0)).dice_mean
        by_fold = {name: scores_from_confusion(c.sum(0)) for name, c in self.folds.items()}
        mious = np.array([s.miou for s in by_fold.values()])
        return {
            "source": self.spec.source,
            "mode": self.spec.mode,
            "uncertainty": self.spec.uncertainty,
            "scores": self.spec.scores,
            "net": self.net,
            "draws": len(draws),
            "pooled": pooled.to_dict(scheme),
            "dice_mean": float(dice.mean()),
            "dice_p10": float(np.quantile(dice, 0.1)),
            "removed": float((dice.mean() - start) / (1 - start)),
            "per_fold": {
                name: {"dice_mean": s.dice_mean, "miou": s.miou, "accuracy": s.accuracy}
                for name, s in by_fold.items()
            },
            "miou_fold_mean": float(mious.mean()),
            "miou_fold_std": float(mious.std(ddof=1)) if mious.size > 1 else 0.0,
            "fraction_mae_pp": self.error_pp,
            "fraction_mae_pp_per_phase": dict(
                zip(scheme.names, np.mean(list(self.phase_pp.values()), axis=0).tolist(), strict=True)
            ),
            "asked_variation": float(np.mean(self.variation)) if self.variation else None,
            "paired_dice": None if self is base else paired_difference(self.dice, base.dice),
        }


def run_row(
    row: Row,
    fold: FoldModel,
    data: Dataset,
    model: LoadedModel,
    sessions: dict[str, Session],
    *,
    repeats: int,
    seed: int,
    device: str,
) -> Generator[Progress, None, StudyResult]:
    """Measure one row on the test images of one fold, and note the numbers in it."""
    scheme, spec = model.card.scheme, row.spec
    items = {item.stem: item for item in data.items}
    draws: dict[int, NDArray[np.int64]] = {}
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for event in evaluate(
        data,
        model,
        spec.source,
        uncertainty=spec.uncertainty,
        mode=spec.mode,
        repeats=repeats,
        seed=seed,
        device=device,
        sessions=sessions,
    ):
        if isinstance(event, Predicted):
            predicted = event.segmentation.labels
            truth = items[event.stem].read_labels(scheme, (predicted.shape[0], predicted.shape[1]))
            counts = confusion_matrix(truth, predicted, len(scheme))
            draws[event.repeat] = draws.get(event.repeat, 0) + counts
            errors.setdefault(event.stem, []).append(np.abs(scores_from_confusion(counts).fraction_error))
        elif isinstance(event, Finished):
            result: StudyResult = event.result
        elif isinstance(event, Progress):
            stage = f"Fold {fold.fold}, ratio {spec.source} {spec.mode or ''}".strip()
            yield Progress(stage, event.done, event.total)
    row.folds[fold.fold] = np.stack([draws[r] for r in sorted(draws)])
    for image in result.per_image:
        row.dice[image["stem"]] = image["dice_mean"]
        row.fraction_pp[image["stem"]] = image["fraction_mae_pp"]
        row.phase_pp[image["stem"]] = 100 * np.mean(errors[image["stem"]], axis=0)
        row.variation += [
            one["asked_true_total_variation"]
            for one in image["repeats"]
            if one["asked_true_total_variation"] is not None
        ]
    return result
