"""Expected values from painted labels: the box follows the brush, says what is missing, and offers shares."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.estimation.painted import STROKES
from phaseguide.models.metal import find_metal
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.hub import RatioOffer
from phaseguide.widgets.layers.identity import KEY, give_role
from phaseguide.widgets.ratio import painted
from phaseguide.widgets.ratio.painted import PaintedBox
from widget_helpers import stroke

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])
SHAPE = (90, 120)


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


class Host:
    """Stands for the widget around the box."""

    def __init__(self, viewer: Any) -> None:
        self.image: Any = None
        self.session: Any = None
        self.scheme: PhaseScheme | None = SCHEME
        self.viewer = viewer
        self.offers: list[RatioOffer] = []
        self.box = PaintedBox(viewer, lambda: self.image, lambda: self.session, lambda: self.scheme)
        self.box.offered.connect(self.offers.append)

    def add_edits(self, shape: tuple[int, ...] = SHAPE, name: str = "steel edits") -> Any:
        from napari.layers import Labels

        layer = Labels(np.zeros(shape, np.uint8), name=name)
        if name.endswith(" edits"):
            give_role(layer, "edits", self.image)
        self.viewer.add_layer(layer)
        return layer

    def texts(self, column: int) -> list[str]:
        table = self.box.table
        rows = range(1, table.rowCount())
        items = [table.itemAtPosition(row, column) for row in rows]
        return [item.widget().text() for item in items if item is not None]


@pytest.fixture
def host(viewer: Any, qtbot: Any) -> Any:
    host = Host(viewer)
    assert host.box.reading == "extrapolated", "the default, since people paint strokes"
    host.box.painted_button.click()
    viewer.window.add_dock_widget(host.box, name="Painted")
    host.image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="steel")
    yield host
    qtbot.waitUntil(lambda: not host.box.busy, timeout=20_000)
    host.box.shut_down()


@pytest.fixture
def settle(host: Host, qtbot: Any) -> Any:
    def wait() -> None:
        qtbot.waitUntil(lambda: not host.box.busy, timeout=20_000)

    return wait


def scored(shape: tuple[int, int] = SHAPE) -> Any:
    """A session whose scores tell three bands apart, with noise."""
    rng = np.random.default_rng(0)
    band = np.minimum(np.arange(shape[1]) * 3 // shape[1], 2)
    scores = np.stack([np.broadcast_to(3.0 * (band == k), shape) for k in range(3)])
    scores = (scores + rng.normal(0, 1, scores.shape)).astype(np.float32)
    return SimpleNamespace(metal=find_metal(np.zeros(shape, np.uint8), None), scores=scores, edits=None)


def test_the_edits_layer_is_the_default_and_results_are_not_offered(host: Host, settle: Any) -> None:
    host.viewer.add_labels(np.ones(SHAPE, np.uint8), name="steel phases", metadata={KEY: {"role": "phases"}})
    other = host.add_edits(name="by hand")
    edits = host.add_edits()
    assert [host.box.layer_box.itemText(k) for k in range(host.box.layer_box.count())] == [
        "by hand",
        "steel edits",
    ]
    assert host.box.layer.unique_id == edits.unique_id
    host.box.layer_box.setCurrentIndex(0)
    host.box.layer_box.activated.emit(0)
    host.add_edits(name="third")
    assert host.box.layer.unique_id == other.unique_id, "what the user picked stays"
    host.viewer.layers.remove("by hand")
    assert host.box.layer.unique_id == edits.unique_id
    settle()


def test_it_follows_brush_undo_redo_and_programs(host: Host, settle: Any) -> None:
    edits = host.add_edits()
    settle()
    assert "nothing is painted" in host.box.notes.text() and not host.box.use_button.isEnabled()
    edits.mode, edits.brush_size = "paint", 6
    for label, row in ((1, 10), (2, 40)):
        edits.selected_label = label
        stroke(edits, [(row, 10.0), (row, 80.0)])
    settle()
    assert host.texts(0) == list(SCHEME.names)
    assert [float(t) for t in host.texts(1)] == pytest.approx([50, 50, 0], abs=1)
    assert host.box.estimate is not None and host.box.estimate.pixels[1] == np.count_nonzero(edits.data == 2)
    edits.undo()
    settle()
    assert host.texts(1) == ["100.0", "0.0", "0.0"]
    edits.redo()
    settle()
    assert float(host.texts(1)[1]) == pytest.approx(50, abs=1)
    edits.data[60:70] = 3
    edits.refresh()
    settle()
    assert float(host.texts(1)[2]) > 50
    edits.data = np.full(SHAPE, 2, np.uint8)
    settle()
    assert host.texts(1) == ["0.0", "100.0", "0.0"]


def test_the_button_offers_shares_with_their_uncertainty(host: Host, settle: Any, qtbot: Any) -> None:
    edits = host.add_edits()
    rng = np.random.default_rng(0)
    edits.data[:60, :90] = rng.choice([1, 2, 3], (60, 90), p=[0.6, 0.3, 0.1])
    edits.refresh()
    settle()
    qtbot.mouseClick(host.box.use_button, Qt.MouseButton.LeftButton)
    (offer,) = host.offers
    assert offer.shares == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert isinstance(offer.uncertainty, tuple) and all(0 < u < 0.3 for u in offer.uncertainty)
    assert offer.title == "painted share of 'steel edits'"


def test_extrapolating_needs_a_session_and_then_corrects_the_shares(host: Host, settle: Any) -> None:
    edits = host.add_edits()
    for label, columns in ((1, (3, 30)), (2, (45, 70)), (3, (85, 115))):
        for row in range(4, 86, 16):
            edits.data[row : row + 4 * label, columns[0] : columns[1]] = label
    edits.refresh()
    settle()
    counted = host.box.estimate.shares
    assert counted[2] > 0.45
    assert "carry no interval" in host.box.notes.text() and host.texts(3) == []
    host.box.extrapolated_button.click()
    settle()
    assert host.box.estimate is None and host.box.notes.text() == painted.SEGMENT_FIRST
    host.session = scored()
    host.box.refresh()
    settle()
    assert host.box.estimate.reading == "extrapolated"
    assert host.box.estimate.shares == pytest.approx([1 / 3] * 3, abs=0.03)
    assert host.texts(3) == [] and "carry no interval" in host.box.notes.text()
    host.box.use_button.click()
    assert host.offers[-1].uncertainty == (STROKES,) * 3, "the blend hardly believes strokes"


def test_features_are_computed_once_for_the_same_scores(
    host: Host, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.estimation import pixel_features

    calls = []
    real = pixel_features.pixel_features
    monkeypatch.setattr(pixel_features, "pixel_features", lambda s: calls.append(1) or real(s))
    edits, host.session = host.add_edits(), scored()
    edits.data[5:80:12, 5:35], edits.data[5:80:12, 45:75] = 1, 2
    edits.refresh()
    host.box.extrapolated_button.click()
    settle()
    edits.data[60, 5:35] = 1
    edits.refresh()
    settle()
    assert calls == [1]
    host.session = scored()
    host.box.refresh()
    settle()
    assert calls == [1, 1]


def test_a_newer_state_replaces_one_under_way(
    host: Host, settle: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, seen = threading.Event(), []
    real = painted.counted_share

    def slow(labels: Any, scheme: Any, source: str) -> Any:
        seen.append(int(np.count_nonzero(labels)))
        gate.wait(10)
        return real(labels, scheme, source)

    monkeypatch.setattr(painted, "counted_share", slow)
    shown = []
    edits = host.add_edits()
    host.box.estimated.connect(lambda: shown.append(host.box.estimate.pixels.sum()))
    edits.data[:10] = 1
    edits.refresh()
    qtbot.waitUntil(lambda: len(seen) == 1)
    for rows in (20, 30, 40):
        edits.data[:rows] = 2
        edits.refresh()
        qtbot.wait(painted.REST_MS + 60)
    gate.set()
    settle()
    assert seen == [1200, 40 * 120], "states in between are never computed"
    assert shown == [40 * 120], "what was outdated is never shown"


def test_wrong_layers_are_named(host: Host, settle: Any) -> None:
    settle()
    assert "Choose a Labels layer" in host.box.notes.text()
    host.add_edits((50, 60))
    settle()
    assert "'steel edits' is 50 x 60 px" in host.box.notes.text() and host.box.estimate is None
    host.viewer.layers.remove("steel edits")
    edits = host.add_edits()
    edits.data[:5] = 7
    edits.refresh()
    settle()
    assert "7 is not in the phase scheme" in host.box.notes.text()
    host.scheme = None
    host.box.refresh()
    settle()
    assert "Choose a model first" in host.box.notes.text() and host.texts(0) == []


def test_planes_are_read_one_by_one_or_pooled(host: Host, settle: Any) -> None:
    host.viewer.layers.clear()
    host.image = host.viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="stack")
    edits = host.add_edits((3, *SHAPE), "stack edits")
    edits.data[0, :, :60], edits.data[0, :, 60:] = 1, 2
    edits.data[2, :, :90], edits.data[2, :, 90:] = 1, 2
    host.viewer.dims.set_point(0, 0)
    edits.refresh()
    host.box.refresh()
    settle()
    assert host.texts(1)[:2] == ["50.0", "50.0"]
    host.viewer.dims.set_point(0, 2)
    settle()
    assert host.texts(1)[:2] == ["75.0", "25.0"]
    assert not host.box.pool_check.isHidden()
    host.box.pool_check.click()
    settle()
    assert host.texts(1)[:2] == ["62.5", "37.5"]
    host.box.extrapolated_button.click()
    assert host.box.reading == "painted", "planes are pooled as they are counted"
    host.box.pool_check.click()
    assert host.box.reading == "extrapolated"


def strokes_for(host: Host, names: tuple[str, ...]) -> Any:
    """Edits with strokes of all phases of a scheme, which the layer carries."""
    edits = host.add_edits()
    give_role(edits, "edits", host.image, scheme=PhaseScheme.from_names(names).to_dict())
    for label in range(1, len(names) + 1):
        edits.data[20 * label : 20 * label + 5, 10:110] = label
    edits.refresh()
    host.box.refresh()
    return edits


def test_strokes_of_other_phases_are_counted_under_their_own_names(host: Host, settle: Any) -> None:
    strokes_for(host, ("gamma", "gamma prime"))
    settle()
    assert host.texts(0) == ["gamma", "gamma prime"] and host.texts(1) == ["50.0", "50.0"]
    told = "was painted for 1 gamma, 2 gamma prime; the model has 1 ferrite, 2 carbide, 3 pearlite"
    assert told in host.box.notes.text() and not host.box.use_button.isEnabled()
    host.scheme = PhaseScheme.from_names(("gamma", "gamma prime", "eta"))
    host.box.refresh()
    settle()
    assert host.texts(0) == ["gamma", "gamma prime", "eta"] and host.box.use_button.isEnabled()


def test_phases_of_the_same_names_get_their_shares_whatever_their_numbers(host: Host, settle: Any) -> None:
    edits = strokes_for(host, ("Pearlite", "ferrite"))
    edits.data[40:45, 60:110] = 0
    edits.refresh()
    settle()
    assert host.texts(0) == ["Pearlite", "ferrite"]
    assert "go to the phases of the same names" in host.box.notes.text()
    host.box.use_button.click()
    (offer,) = host.offers
    assert offer.shares == pytest.approx([1 / 3, np.nan, 2 / 3], nan_ok=True)


def test_a_folded_box_rests_and_catches_up(host: Host, settle: Any, qtbot: Any) -> None:
    edits = host.add_edits()
    settle()
    host.box.set_active(False)
    edits.data[:10] = 1
    edits.refresh()
    qtbot.wait(painted.REST_MS + 60)
    assert host.box.estimate is None
    host.box.set_active(True)
    settle()
    assert host.box.estimate is not None


def test_after_shut_down_layers_are_left_alone(host: Host, settle: Any, qtbot: Any) -> None:
    edits = host.add_edits()
    settle()
    host.box.shut_down()
    edits.data[:10] = 1
    edits.refresh()
    host.viewer.layers.remove("steel edits")
    assert not host.box.busy
