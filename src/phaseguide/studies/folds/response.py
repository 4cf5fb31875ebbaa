"""Response: how much the achieved fraction of a phase moves when the asked one is moved.

Measured with conditioning alone. Matching answers with 1 by construction; a network may have learnt
to ignore its ratio, and then answers with 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.evaluation.evaluate import open_session
from phaseguide.events import Finished, Progress
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Ratio
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end

STEP = 0.05


def moved_ratio(own: Ratio, phase: int, change: float) -> Ratio | None:
    """Move one phase of a composition by an area share, the others in proportion; None where there is no room."""
    wanted = own[phase] + change
    if not 0 < wanted < 1 or own[phase] >= 1:
        return None
    moved: Ratio = own * (1 - wanted) / (1 - own[phase])
    moved[phase] = wanted
    return moved


def measure_response(
    dataset: Dataset, model: LoadedModel, *, step: float = STEP, device: str = "auto"
) -> Iterator[Progress | Finished[NDArray[np.float64]]]:
    """Move each phase by +-``step`` from the model's own composition, conditioned only.

    The result is the change of achieved over change of asked, shape (n, K); NaN where a phase has no room.
    Where the phase has no room below (own under ``step``), the step is taken from own to own + step.
    """
    rows = []
    for done, item in enumerate(dataset.items):
        yield Progress("Measuring the response", done, len(dataset.items))
        session = open_session(item, model, device=device)
        own = run_to_end(session.segment(Request())).own
        rows.append([_one(session, own, k, step) for k in range(own.size)])
    yield Finished(np.array(rows, dtype=np.float64))


def _one(session: Session, own: Ratio, phase: int, step: float) -> float:
    high = moved_ratio(own, phase, step)
    low = moved_ratio(own, phase, -step)
    if low is None:
        low = own
    if high is None:
        return float("nan")
    achieved = [
        run_to_end(session.segment(Request(asked=r, uncertainty=0.0, mode="conditioned"))).achieved[phase]
        for r in (low, high)
    ]
    return float((achieved[1] - achieved[0]) / (high[phase] - low[phase]))
