"""Shares from painted planes: the dock's plane and stack are the command's plane and specimen."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import MicrographError
from phaseguide.estimation.painted import painted_share, pool_planes
from phaseguide.events import Progress, run_to_end
from phaseguide.jobs.painted_share import PaintedPlane, counted_share, estimate_plane, estimate_specimen
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(("a", "b"))


def planes() -> list[PaintedPlane]:
    labels = np.zeros((3, 40, 60), dtype=np.uint8)
    labels[0, :20, :30], labels[0, :20, 30:] = 1, 2
    labels[2, :10, :15], labels[2, :10, 15:] = 1, 2
    labels[1, 0, 0] = 255
    return [PaintedPlane(f"plane {z}", one) for z, one in enumerate(labels)]


def test_one_plane_is_what_is_counted_on_it() -> None:
    plane = planes()[0]
    estimate = run_to_end(estimate_plane(plane, SCHEME))
    for other in (painted_share(plane.labels, SCHEME), counted_share(plane.labels, SCHEME, "x")[0]):
        assert np.array_equal(estimate.shares, other.shares) and estimate.warnings == other.warnings


def test_planes_on_which_nothing_is_painted_do_not_count() -> None:
    every = planes()
    events = list(estimate_specimen(every, SCHEME))
    expected = pool_planes([painted_share(every[z].labels, SCHEME) for z in (0, 2)], SCHEME)
    assert np.array_equal(events[-1].result.shares, expected.shares)  # type: ignore[union-attr]
    told = [event.stage for event in events if isinstance(event, Progress)]
    assert told == ["Estimating plane 0", "Estimating plane 2"]
    alone = run_to_end(estimate_specimen(every[:2], SCHEME))
    assert any("not for the specimen" in warning for warning in alone.warnings)


def test_nothing_painted_at_all_names_the_first_plane() -> None:
    with pytest.raises(MicrographError, match="plane 1: nothing is painted"):
        run_to_end(estimate_specimen(planes()[1:2] * 2, SCHEME))


def test_labels_must_fit_the_image() -> None:
    plane = PaintedPlane("p", planes()[0].labels, np.zeros((8, 8)))
    with pytest.raises(MicrographError, match="p is 40 x 60 px"):
        run_to_end(estimate_plane(plane, SCHEME))
