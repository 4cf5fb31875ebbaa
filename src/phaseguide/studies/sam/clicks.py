"""A simulated user's clicks and boxes: where someone who knows the phases would point, from a declared seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.sam.prompts import Prompts
from phaseguide.studies.finetune.simulated_user import aim

DEEP_PX = 8
"""From this distance to the border of a region on, a click is in the middle as far as the hand is concerned."""


def draw_clicks(truth: NDArray[np.uint8], n_phases: int, count: int, rng: np.random.Generator) -> Prompts:
    """Click on each phase that an image has; never wrong, and rather well inside a region than at its rim.

    A phase of fewer pixels than ``count`` gets fewer clicks. Returns points alone, phase by phase.
    """
    places, phases = [], []
    for phase in range(1, n_phases + 1):
        region = truth == phase
        if not region.any():
            continue
        most = min(count, int(np.count_nonzero(region)))
        drawn = rng.choice(truth.size, size=most, replace=False, p=aim(region, DEEP_PX))
        places.append(np.stack(np.divmod(drawn, truth.shape[1]), axis=1))
        phases += [phase] * most
    points = np.concatenate(places) if places else np.zeros((0, 2))
    return Prompts(points=points.astype(np.float64), point_phases=np.array(phases, dtype=np.int64))


def boxes_around(truth: NDArray[np.uint8], clicks: Prompts) -> Prompts:
    """Draw a box around the region that each click is in: one a region even if it was clicked on twice; regions are
    connected over edges.
    """
    from scipy.ndimage import find_objects, label

    boxes, phases = [], []
    for phase in np.unique(clicks.point_phases).tolist():
        regions, _ = label(truth == phase)
        outlines = find_objects(regions)
        own = clicks.points[clicks.point_phases == phase].astype(np.intp)
        for number in dict.fromkeys(regions[own[:, 0], own[:, 1]].tolist()):
            rows, columns = outlines[number - 1]
            boxes.append((rows.start, columns.start, rows.stop - 1, columns.stop - 1))
            phases.append(phase)
    return Prompts(
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4), box_phases=np.array(phases, dtype=np.int64)
    )
