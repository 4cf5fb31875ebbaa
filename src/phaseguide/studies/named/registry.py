"""All named studies, in the order in which they are listed."""

from __future__ import annotations

from phaseguide.studies.named import (
    ablation,
    epochs,
    gauges,
    magnification,
    rank,
    systems,
    training_size,
    transfer,
)
from phaseguide.studies.study import Study

_MODULES = (systems, ablation, training_size, epochs, rank, magnification, transfer, gauges)

STUDIES: dict[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
