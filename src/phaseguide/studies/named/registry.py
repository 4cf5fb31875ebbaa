"""All named studies, in the order in which they are listed."""

from __future__ import annotations

from phaseguide.studies.named import (
    ablation,
    embedding,
    epochs,
    first_model,
    gauges,
    inflated,
    magnification,
    rank,
    ratio_error,
    response,
    steer,
    systems,
    training_size,
    transfer,
)
from phaseguide.studies.named.peers import study as peers
from phaseguide.studies.study import Study

_MODULES = (
    systems,
    ablation,
    ratio_error,
    inflated,
    response,
    steer,
    embedding,
    gauges,
    training_size,
    epochs,
    rank,
    magnification,
    transfer,
    peers,
    first_model,
)

STUDIES: dict[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
