"""What ``phaseguide train`` is told of cross-fitting, beside ``--set crossfit=5``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.cli.train.settings import read_inference
from phaseguide.errors import TrainingError

if TYPE_CHECKING:
    from phaseguide.datasets.folder import Dataset
    from phaseguide.models.card import InferenceCard
    from phaseguide.training.config import TrainingConfig
    from phaseguide.training.crossfit.folds import Folds
    from phaseguide.training.crossfit.parts import Parts


@dataclass(frozen=True)
class Crossfit:
    """Folds (None: drawn), where the parts are kept (None: nowhere), and how the model will be run (None: as any)."""

    folds: Folds | None = None
    parts: Parts | None = None
    inference: InferenceCard | None = None

    def sweep(self) -> None:
        """Remove the parts, once the model is saved."""
        if self.parts is not None:
            self.parts.sweep()


def plan_crossfit(
    config: TrainingConfig,
    folder: Dataset,
    folds_file: Path | None,
    checkpoint: Path | None,
    card: Path | None,
    entries: Mapping[str, Any],
) -> tuple[TrainingConfig, Crossfit]:
    """Return the settings with the number of folds, and what else cross-fitting needs; ``entries`` are the card's."""
    from phaseguide.training.crossfit.folds import read_folds
    from phaseguide.training.crossfit.parts import parts_of

    folds = None if folds_file is None else read_folds(folds_file, folder)
    if folds is not None and config.crossfit not in (0, len(folds)):
        raise TrainingError(
            f"{folds_file}: has {len(folds)} folds, but crossfit is {config.crossfit}. Keep one."
        )
    if folds is not None:
        config = config.changed(crossfit=len(folds))
    if config.crossfit_epochs and not config.crossfit:
        raise TrainingError(
            f"crossfit_epochs is {config.crossfit_epochs}, but crossfit is 0, so there are no folds. Set crossfit to a "
            "number of folds, or leave crossfit_epochs out."
        )
    if config.crossfit and "calibration" in entries:
        raise TrainingError(
            f"{card}: has an entry calibration, and crossfit measures one. Take the entry out, or leave crossfit out."
        )
    parts = None if checkpoint is None or not config.crossfit else parts_of(checkpoint)
    return config, Crossfit(folds, parts, read_inference(card))
