"""The Point count widget in a real, shown viewer, worked with keys as a person does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from phaseguide.estimation.point_count import UNNAMED, adjusted_areas
from phaseguide.estimation.point_files import load_count
from phaseguide.jobs.point_count import count_folder
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.point_count.marker import NAME
from tiny_models import NAMES
from widget_helpers import SHAPE, activate, micrograph, type_into
from workbench_helpers import close_workbench, open_part

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


def phase_map(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    labels = np.ones(shape, dtype=np.uint8)
    labels[20:60, 10:70] = 2
    labels[70:74] = 3
    labels[-6:] = 255
    return labels


def show_map(viewer: Any, image: Any, labels: np.ndarray, index: Any = (), **mark: Any) -> Any:
    layer = roles.show_result(viewer, image, SCHEME, {index: labels}, mark)
    roles.ensure_edits_layer(viewer, image, SCHEME)
    return layer


@pytest.fixture(autouse=True)
def _programs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vispy keep the shader programs of layers that go.

    Mesa's software renderer (22.3) crashes now and then in a frame after one was deleted; these tests show
    frames and remove layers.
    """
    from vispy.gloo.glir import GlirProgram

    monkeypatch.setattr(GlirProgram, "delete", lambda self: None)


@pytest.fixture
def shown() -> None:
    """For tests that press keys, which only a window on the screen gets."""


@pytest.fixture
def viewer(request: pytest.FixtureRequest) -> Any:
    if "shown" in request.fixturenames:
        return request.getfixturevalue("make_napari_viewer")(show=True)
    return request.getfixturevalue("model_viewer")


@pytest.fixture
def image(viewer: Any) -> Any:
    image = viewer.add_image(micrograph(), name="steel")
    show_map(viewer, image, phase_map())
    return image


@pytest.fixture
def widget(viewer: Any, image: Any, qtbot: Any) -> Any:
    return dock(viewer, qtbot)


def dock(viewer: Any, qtbot: Any) -> Any:
    _, widget = open_part(viewer, "Point count")
    widget.panel.count_box.setValue(20)
    qtbot.waitUntil(lambda: "± 20\npoints" in widget.panel.expected.headings)
    return widget


def begin(widget: Any, qtbot: Any) -> Any:
    """Press Start and return a function that presses a key with the focus in the canvas."""
    click(qtbot, widget.panel.start_button)
    assert widget.counting, widget.panel.status.text()
    return key_presser(widget, qtbot)


def key_presser(widget: Any, qtbot: Any) -> Callable[[Any], None]:
    window = widget.viewer.__wrapped__.window._qt_window
    canvas = widget.viewer.__wrapped__.window._qt_viewer.canvas.native
    activate(window, qtbot)
    canvas.setFocus()

    def press(key: Any) -> None:
        QTest.keyClick(canvas, key)

    return press


def seen(part: Any) -> bool:
    """Whether a part of the dock is on show, or would be if the window were."""
    return bool(part.isVisibleTo(part.window()))


def click(qtbot: Any, button: Any) -> None:
    assert seen(button) and button.isEnabled()
    if button.isVisible():
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    else:  # a window that is not on the screen gets no mouse
        button.click()


def under_cross(widget: Any, labels: np.ndarray) -> int:
    plan, at = widget.count.plan, widget.count.position
    return int(labels[plan.rows[at], plan.columns[at]])


def key_of(phase: int) -> Any:
    return getattr(Qt.Key, f"Key_{phase}") if phase else Qt.Key.Key_U


def state(viewer: Any) -> Any:
    """Everything of the viewer that a count changes on its way."""
    selection = viewer.layers.selection
    return (
        [(layer.name, layer.visible, layer.mode) for layer in viewer.layers],
        {layer.name for layer in selection},
        selection.active and selection.active.name,
        tuple(viewer.scene.camera.center),
        viewer.scene.camera.zoom,
        tuple(viewer.dims.current_step),
        viewer.dims.ndisplay,
    )


def test_errors_are_told_before(widget: Any, qtbot: Any) -> None:
    panel = widget.panel
    assert panel.expected.headings == (
        "Phase", "In map\n%", "± 20\npoints", "± 50\npoints", "± 100\npoints", "± 200\npoints",
    )  # fmt: skip
    for row in panel.expected.cells:
        errors = [float(cell) for cell in row[1:]]
        assert errors == sorted(errors, reverse=True) and errors[-1] > 0
    assert "9 of 10" in panel.assumption.text()
    type_into(qtbot, panel.count_box, "3")
    qtbot.waitUntil(lambda: "Ask for 6 to" in panel.map_line.text())
    assert not panel.start_button.isEnabled()


def test_a_count_by_keys(shown: None, widget: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    true = np.roll(phase_map(), 2, axis=0)
    true[true == 255] = 1
    viewer.layers["steel edits"].visible = False
    viewer.layers["steel edits"].mode = "paint"
    viewer.layers.selection.active = viewer.layers["steel edits"]
    before, painted = state(viewer), viewer.layers["steel edits"].data.copy()
    press = begin(widget, qtbot)
    assert [layer.name for layer in viewer.layers if layer.visible] == ["steel", NAME]
    assert not seen(widget.panel.expected) and not seen(widget.panel.result)
    given = []
    while widget.counting:
        assert widget.panel.counting.position.text() == f"Point {len(given) + 1} of 20"
        given.append(0 if len(given) == 4 else under_cross(widget, true))
        press(key_of(given[-1]))
    assert widget.count.answers.tolist() == given
    assert state(viewer) == before, "the viewer is as it was"
    assert np.array_equal(viewer.layers["steel edits"].data, painted)
    expected = adjusted_areas(widget.count.plan, given)
    assert widget.estimate.shares == pytest.approx(expected.shares)
    assert widget.panel.result.headings[-1] == "Unclear:\nnone–all"
    shown = widget.panel.result.cells[0]
    assert shown[1] == f"{expected.shares[0] * 100:.1f} ± {expected.standard_error[0] * 100:.1f}"
    assert "1 of 20 points were unclear" in widget.panel.notes.text()
    assert seen(widget.panel.result) and seen(widget.panel.offer_button)


def test_each_point_is_in_the_middle(viewer: Any, qtbot: Any) -> None:
    image = viewer.add_image(
        micrograph(), name="steel", scale=(0.5, 0.5), translate=(3, -7), rotate=20, units=("µm", "µm")
    )
    show_map(viewer, image, phase_map())
    widget = dock(viewer, qtbot)
    click(qtbot, widget.panel.start_button)
    zoom = viewer.scene.camera.zoom
    for _ in range(3):
        plan, at = widget.count.plan, widget.count.position
        row, column = int(plan.rows[at]), int(plan.columns[at])
        assert viewer.scene.camera.center[-2:] == pytest.approx(image.data_to_world((row, column)))
        cross = viewer.layers[NAME]
        world = np.asarray(image.data_to_world((row, column)))
        assert cross.data.mean(axis=0) == pytest.approx(world)
        free = np.linalg.norm(cross.data - world, axis=1) - np.asarray(cross.size) / 2
        assert (free > 0.5 * np.sqrt(2) / 2).all(), "the pixel itself stays free, to its corners"
        widget.answer(1)
    size = np.array(viewer.layers[NAME].size)
    viewer.scene.camera.zoom = zoom * 2
    assert viewer.layers[NAME].size == pytest.approx(size / 2), "as large on the screen as before"
    widget.answer(1)
    assert viewer.scene.camera.zoom == pytest.approx(zoom * 2), "the zoom is the user's"


def test_plane_of_a_stack(viewer: Any, qtbot: Any) -> None:
    image = viewer.add_image(np.stack([micrograph(seed=i) for i in range(3)]), name="stack")
    show_map(viewer, image, phase_map(), (1,))
    viewer.dims.set_point(0, 1)
    widget = dock(viewer, qtbot)
    assert "stack phases, plane 1" in widget.panel.map_line.text()
    click(qtbot, widget.panel.start_button)
    viewer.dims.set_point(0, 2)  # a slider moved by accident
    widget.answer(2)
    assert viewer.dims.current_step[0] == 1
    widget.pause()
    viewer.dims.set_point(0, 2)
    qtbot.waitUntil(lambda: "has no map" in widget.panel.map_line.text())


def test_back_unclear_and_pause(shown: None, widget: Any, viewer: Any, qtbot: Any) -> None:
    before = state(viewer)
    press = begin(widget, qtbot)
    assert not widget.panel.counting.back_button.isEnabled()
    for key in (Qt.Key.Key_Backspace, Qt.Key.Key_1, Qt.Key.Key_U, Qt.Key.Key_2, Qt.Key.Key_Backspace):
        press(key)
    assert widget.count.answers[:4].tolist() == [1, 0, UNNAMED, UNNAMED]
    press(Qt.Key.Key_4)  # no phase has this key
    assert widget.count.position == 2
    press(Qt.Key.Key_Escape)
    assert not widget.counting and state(viewer) == before
    assert widget.panel.continue_button.text() == "Continue (2 of 20)"
    assert not seen(widget.panel.start_button)
    click(qtbot, widget.panel.evaluate_button)
    assert "18 of 20 points are not named yet" in widget.panel.notes.text()
    click(qtbot, widget.panel.continue_button)
    assert widget.counting and not seen(widget.panel.result)
    assert widget.panel.counting.position.text() == "Point 3 of 20"


def test_buttons_do_what_keys_do(widget: Any, qtbot: Any) -> None:
    click(qtbot, widget.panel.start_button)
    buttons = widget.panel.counting.buttons
    assert [button.text() for button in buttons] == [
        "1   ferrite",
        "2   pearlite",
        "3   carbide",
        "U   unclear",
    ]
    for button in (buttons[2], buttons[3]):
        click(qtbot, button)
    assert widget.count.answers[:2].tolist() == [3, 0]
    assert widget.panel.counting.back_button.text() == "Back  (Backspace)"
    assert widget.panel.counting.pause_button.text() == "Pause  (Esc)"
    click(qtbot, widget.panel.counting.back_button)
    click(qtbot, widget.panel.counting.pause_button)
    assert widget.count.position == 1 and not widget.counting


def test_keys_belong_to_napari_again_afterwards(shown: None, widget: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    viewer.layers.selection.active = edits
    edits.mode = "pan_zoom"
    press = begin(widget, qtbot)
    viewer.layers.selection.active = edits  # as a click into the layer list does
    press(Qt.Key.Key_2)
    assert edits.mode == "pan_zoom" and widget.count.position == 1
    press(Qt.Key.Key_Escape)
    press(Qt.Key.Key_2)
    assert edits.mode != "pan_zoom" and widget.count.position == 1


def test_backspace_in_the_layer_list_removes_no_layer(
    shown: None, widget: Any, viewer: Any, qtbot: Any
) -> None:
    press = begin(widget, qtbot)
    press(Qt.Key.Key_1)
    names = [layer.name for layer in viewer.layers]
    layer_list = viewer.window._qt_viewer.layers
    layer_list.setFocus()
    QTest.keyClick(layer_list, Qt.Key.Key_Backspace)
    assert [layer.name for layer in viewer.layers] == names
    assert widget.count.position == 0


def test_what_is_typed_into_a_box_stays_there(shown: None, widget: Any, viewer: Any, qtbot: Any) -> None:
    from qtpy.QtWidgets import QLineEdit

    line = QLineEdit()
    viewer.window.add_dock_widget(line, name="another plugin")
    begin(widget, qtbot)
    line.setFocus()
    qtbot.keyClicks(line, "12u")
    assert line.text() == "12u" and widget.count.position == 0


def test_a_count_survives_the_widget(shown: None, widget: Any, viewer: Any, qtbot: Any) -> None:
    press = begin(widget, qtbot)
    press(Qt.Key.Key_1)
    press(Qt.Key.Key_2)
    before = [layer.name for layer in viewer.layers if layer.name != NAME]
    close_workbench(viewer)
    assert [layer.name for layer in viewer.layers] == before
    assert viewer.layers["steel phases"].visible
    press(Qt.Key.Key_3)
    (path,) = count_folder().glob("steel-*.json")
    assert load_count(path)[1][:3].tolist() == [1, 2, UNNAMED]
    again = dock(viewer, qtbot)
    click(qtbot, again.panel.start_button)
    assert again.count.position == 2 and "unfinished count" in again.panel.status.text()
    click(qtbot, again.panel.counting.pause_button)
    click(qtbot, again.panel.discard_button)
    assert not path.exists() and again.count is None
    click(qtbot, again.panel.start_button)
    assert again.count.position == 0


def test_a_finished_count_is_not_gone_on_with(widget: Any, qtbot: Any) -> None:
    click(qtbot, widget.panel.start_button)
    rows = widget.count.plan.rows.tolist()
    for _ in range(20):
        click(qtbot, widget.panel.counting.buttons[0])
    assert widget.estimate.shares == pytest.approx([1, 0, 0])
    click(qtbot, widget.panel.start_button)
    assert widget.count.position == 0
    assert widget.count.plan.rows.tolist() != rows, "another count has other points"
    assert len(list(count_folder().glob("steel-*.json"))) == 2


def test_image_removed_on_the_way(widget: Any, viewer: Any, qtbot: Any) -> None:
    click(qtbot, widget.panel.start_button)
    widget.answer(1)
    viewer.layers.remove("steel")
    qtbot.waitUntil(lambda: not widget.counting)
    assert NAME not in viewer.layers
    assert "removed" in widget.panel.status.text()
    assert viewer.layers["steel phases"].visible
    widget.answer(1)
    qtbot.waitUntil(lambda: not widget.panel.start_button.isEnabled())
    assert load_count(next(count_folder().glob("steel-*.json")))[1][0] == 1


def test_image_replaced_on_the_way(widget: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    click(qtbot, widget.panel.start_button)
    image.data = micrograph((40, 40))
    widget.answer(1)
    assert not widget.counting and "replaced" in widget.panel.status.text()
    assert NAME not in viewer.layers


def test_cross_and_map_removed_on_the_way(widget: Any, viewer: Any, qtbot: Any) -> None:
    click(qtbot, widget.panel.start_button)
    viewer.layers.remove(NAME)
    viewer.layers.remove("steel phases")
    widget.answer(1)
    assert NAME in viewer.layers and widget.count.position == 1
    widget.pause()
    assert [layer.name for layer in viewer.layers] == ["steel", "steel edits"]


def test_two_docks_in_one_viewer(widget: Any, viewer: Any, qtbot: Any) -> None:
    from phaseguide.widgets.point_count.dock import PointCountWidget

    other = PointCountWidget(viewer)
    viewer.window.add_dock_widget(other, name="second")
    qtbot.waitUntil(other.panel.start_button.isEnabled)
    click(qtbot, widget.panel.start_button)
    other.start()
    assert not other.counting and "Pause it first" in other.panel.status.text()
    assert widget.counting
    widget.pause()
    other.go_on()
    assert other.counting


def test_two_viewers(
    shown: None, widget: Any, viewer: Any, make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    second = make_napari_viewer(show=True)
    image = second.add_image(micrograph(seed=1), name="other")
    show_map(second, image, np.flipud(phase_map()))
    other = dock(second, qtbot)
    press = begin(widget, qtbot)
    press_other = begin(other, qtbot)
    press_other(Qt.Key.Key_1)
    press_other(Qt.Key.Key_2)
    assert (widget.count.position, other.count.position) == (0, 2)
    press = key_presser(widget, qtbot)
    press(Qt.Key.Key_3)
    assert (widget.count.position, other.count.position) == (1, 2)


def test_window_closed_on_the_way(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    show_map(viewer, viewer.add_image(micrograph(), name="steel"), phase_map())
    press = begin(dock(viewer, qtbot), qtbot)
    press(Qt.Key.Key_1)
    viewer.close()
    assert load_count(next(count_folder().glob("steel-*.json")))[1][0] == 1


def test_without_a_map(viewer: Any, qtbot: Any) -> None:
    _, widget = open_part(viewer, "Point count")
    assert "Open a micrograph" in widget.panel.map_line.text()
    hub_of(viewer).model = None
    image = viewer.add_image(micrograph(), name="steel")
    qtbot.waitUntil(lambda: "'steel' has no phases yet" in widget.panel.map_line.text())
    assert not widget.panel.start_button.isEnabled()
    widget.start()
    assert not widget.counting
    show_map(viewer, image, phase_map())
    qtbot.waitUntil(widget.panel.start_button.isEnabled)
    viewer.layers["steel phases"].data[:] = 2
    viewer.layers["steel phases"].refresh()
    qtbot.waitUntil(lambda: widget.panel.expected.cells[1][0] == "100.00")


def test_no_segmentation_is_needed(widget_on_bare: Any, viewer: Any, qtbot: Any) -> None:
    """Points on a grid over all that is metal; the count is known again by the image, and is a source."""
    widget = widget_on_bare
    assert "has no map" in widget.panel.map_line.text() and not widget.panel.expected.cells
    assert "10 %" in widget.panel.assumption.text() and seen(widget.panel.assumption)
    widget.panel.count_box.setValue(60)
    click(qtbot, widget.panel.start_button)
    count = widget.count
    assert count is not None and abs(len(count.plan) - 60) <= 15
    assert (count.plan.rows < SHAPE[0] - 6).all(), "the excluded rows are left out"
    spacing = np.diff(np.unique(count.plan.rows))
    assert spacing.max() - spacing.min() <= 1
    widget.answer(1)
    widget.pause()
    widget.discard()
    click(qtbot, widget.panel.start_button)
    while widget.counting:
        click(qtbot, widget.panel.counting.buttons[under_cross(widget, phase_map()) - 1])
    assert widget.panel.result.headings[1].startswith("Area"), "there is no column of a map"
    true = np.bincount(phase_map()[:-6].ravel(), minlength=4)[1:4] / phase_map()[:-6].size
    assert (abs(widget.estimate.shares - true) <= 3 * widget.estimate.standard_error).all()
    assert widget.panel.result.cells[1][0] == f"{widget.estimate.shares[1] * 100:.1f} ± " + (
        f"{widget.estimate.standard_error[1] * 100:.1f}"
    )


@pytest.fixture
def widget_on_bare(viewer: Any, qtbot: Any, tmp_path: Path) -> Any:
    _, widget = open_part(viewer, "Point count")
    image = viewer.add_image(micrograph(), name="bare")
    edits = roles.ensure_edits_layer(viewer, image, SCHEME)
    edits.data[-6:] = 255
    qtbot.waitUntil(widget.panel.start_button.isEnabled)
    return widget


def test_the_phases_of_the_chosen_model_are_named_on_a_bare_image(
    viewer: Any, model_file: Path, qtbot: Any
) -> None:
    _, widget = open_part(viewer, "Point count")
    viewer.add_image(micrograph(), name="bare")
    hub_of(viewer).model = model_file
    qtbot.waitUntil(widget.panel.start_button.isEnabled)
    widget.start()
    assert [button.text().split("  ")[-1].strip() for button in widget.panel.counting.buttons[:-1]] == list(
        NAMES
    )
    widget.pause()


def test_a_constrained_map_is_called_that(viewer: Any, qtbot: Any) -> None:
    own = {"ferrite": 0.7, "pearlite": 0.25, "carbide": 0.05}
    image = viewer.add_image(micrograph(), name="steel")
    show_map(viewer, image, phase_map(), note="constrained by your value, not independent", own=own)
    widget = dock(viewer, qtbot)
    for label in (widget.panel.map_line, widget.panel.notes):
        assert "constrained by your value, not independent" in label.text()
        assert "ferrite 70.00 %" in label.text()
        if label is widget.panel.map_line:
            click(qtbot, widget.panel.start_button)
            for _ in range(20):
                click(qtbot, widget.panel.counting.buttons[0])


class Segment:
    """Stands for the dock that takes ratios."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def take(self, offered: Any) -> None:
        self.taken.append(offered)


def test_areas_become_expected_values(widget: Any, viewer: Any, model_file: Path, qtbot: Any) -> None:
    open_part(viewer, "Segment")[1].panel.model_box.open_file(model_file)
    open_part(viewer, "Point count")
    click(qtbot, widget.panel.start_button)
    while widget.counting:
        click(qtbot, widget.panel.counting.buttons[under_cross(widget, phase_map()) - 1])
    segment = Segment()
    offers = hub_of(viewer).ratio_offered
    offers.connect(segment.take)
    with qtbot.waitSignal(widget.offered) as signal:
        click(qtbot, widget.panel.offer_button)
    (offered,) = segment.taken
    assert signal.args == [offered]
    assert offered.shares == pytest.approx(widget.estimate.shares)
    assert offered.uncertainty == widget.estimate.uncertainty and len(offered.uncertainty) == 3
    assert offered.title == "point count of 'steel' (20 points)" and offered.source == "field"
    assert "expected values" in widget.panel.status.text()
    offers.disconnect(segment.take)


def test_table_and_count_leave_the_widget(
    widget: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    click(qtbot, widget.panel.start_button)
    while widget.counting:
        click(qtbot, widget.panel.counting.buttons[under_cross(widget, phase_map()) - 1])
    click(qtbot, widget.panel.copy_button)
    header, *rows = [line.split("\t") for line in QApplication.clipboard().text().splitlines()]
    assert header[:4] == ["Phase", "In map %", "Area %", "Standard error"] and len(rows) == 3
    assert [float(row[2]) for row in rows] == pytest.approx(widget.estimate.shares * 100, abs=0.006)
    target = "phaseguide.widgets.point_count.dock.QFileDialog.getSaveFileName"
    monkeypatch.setattr(target, lambda *a, **k: (str(tmp_path / "mine"), ""))
    click(qtbot, widget.panel.save_button)
    plan, answers = load_count(tmp_path / "mine.json")
    assert answers.tolist() == plan.strata.tolist()


def test_a_full_disk_loses_nothing(widget: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.errors import PhaseguideError

    click(qtbot, widget.panel.start_button)

    def refuse(*_: Any) -> None:
        raise PhaseguideError("count.json: cannot be written.")

    monkeypatch.setattr("phaseguide.jobs.point_count.save_count", refuse)
    click(qtbot, widget.panel.counting.buttons[1])
    assert "cannot be written" in widget.panel.status.text() and widget.count.position == 1
    monkeypatch.undo()
    click(qtbot, widget.panel.counting.buttons[1])
    assert load_count(widget.count.path)[1][:2].tolist() == [2, 2]
