"""Edits that cannot be saved: closing asks and never waits for long; rescue copies are offered and brought back."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from phaseguide.phases import PhaseScheme
from phaseguide.projects import edit_saver
from phaseguide.projects.places import LOCK
from phaseguide.projects.project import Project
from phaseguide.projects.rescue import find_copies, keep_copy, rescue_path
from phaseguide.widgets.project import autosave, field_pictures, open_project
from phaseguide.widgets.project.closing import UnsavedQuestion
from project_helpers import make_project, settled
from widget_helpers import stroke
from workbench_helpers import open_part


def paint(layer: Any, row: float, label: int) -> None:
    layer.mode, layer.brush_size, layer.selected_label = "paint", 3, label
    stroke(layer, [layer.data_to_world((row, 10)), layer.data_to_world((row, 40))])


def on_disk(folder: Path, field_id: str = "steel0") -> np.ndarray:
    found = Project.open(folder).read_edits(field_id)
    return np.zeros((96, 128), np.uint8) if found is None else found


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_saver, "WAIT_S", 0.1)
    monkeypatch.setattr(open_project, "FLUSH_S", 60.0)
    monkeypatch.setattr(autosave, "AGAIN_MS", 200)
    monkeypatch.setattr(field_pictures, "REST_MS", 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture
def dock(model_viewer: Any, folder: Path, qtbot: Any, told: list[str]) -> Any:
    """The Project dock without a window."""
    return open_dock(model_viewer, folder, qtbot)


@pytest.fixture
def shown_dock(make_napari_viewer: Callable[..., Any], folder: Path, qtbot: Any, told: list[str]) -> Any:
    """The Project dock in a window on the screen."""
    dock = open_dock(make_napari_viewer(show=True), folder, qtbot)
    window_of(dock).setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the fixture's viewer cleans up
    return dock


def open_dock(viewer: Any, folder: Path, qtbot: Any) -> Any:
    _, dock = open_part(viewer, "Project")
    dock.open(folder)
    settled(dock, qtbot)
    return dock


@pytest.fixture
def held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileLock]:
    """Another program that hangs while it changes the project; nobody waits for it for long."""
    monkeypatch.setattr(open_project, "FLUSH_S", 0.2)
    lock = FileLock(folder / LOCK)
    yield lock
    lock.release()


def question() -> UnsavedQuestion | None:
    asked = [w for w in QApplication.topLevelWidgets() if isinstance(w, UnsavedQuestion) and w.isVisible()]
    return asked[0] if asked else None


def seen(part: Any) -> bool:
    """Whether a part of the dock is on show, or would be if the window were."""
    return bool(part.isVisibleTo(part.window()))


def window_of(dock: Any) -> Any:
    return dock.window()


def test_a_stray_stroke_keeps_nothing_back_when_the_window_closes(
    shown_dock: Any, folder: Path, qtbot: Any, told: list[str]
) -> None:
    edits = shown_dock.viewer.layers["steel0 edits"]
    paint(edits, 10, 9)
    settled(shown_dock, qtbot)
    assert "label 9" in told[-1] and "row" in told[-1] and "label 9" in shown_dock.panel.status.text()
    paint(edits, 20, 2)
    painted = edits.data.copy()
    assert window_of(shown_dock).close() and question() is None
    assert np.array_equal(on_disk(folder), np.where(painted == 9, 0, painted))
    (copy,) = find_copies(Project.open(folder)).values()
    assert "label 9" in copy.describe()


def test_a_window_stays_and_asks_and_closes_by_itself_once_it_can(
    shown_dock: Any, folder: Path, qtbot: Any, held: FileLock
) -> None:
    edits, window = shown_dock.viewer.layers["steel0 edits"], window_of(shown_dock)
    held.acquire()
    paint(edits, 10, 1)
    painted = edits.data.copy()
    assert not window.close() and window.isVisible()
    asked = question()
    assert asked is not None and "steel0" in asked.text() and "rescue" in asked.informativeText()
    assert not window.close() and question() is asked, "it asks once"
    assert find_copies(Project.open(folder)), "what is asked about is rescued first"
    held.release()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=20_000)
    assert question() is None
    assert np.array_equal(on_disk(folder), painted) and not find_copies(Project.open(folder))


def test_go_on_editing(shown_dock: Any, folder: Path, qtbot: Any, held: FileLock) -> None:
    edits, window = shown_dock.viewer.layers["steel0 edits"], window_of(shown_dock)
    held.acquire()
    paint(edits, 10, 1)
    window.close()
    qtbot.mouseClick(question().back, Qt.MouseButton.LeftButton)
    assert window.isVisible() and question() is None
    paint(edits, 20, 2)
    held.release()
    settled(shown_dock, qtbot)
    assert np.array_equal(on_disk(folder), edits.data)
    assert "saved now" in shown_dock.panel.status.text()


def test_close_anyway_and_restore_at_the_next_start(
    shown_dock: Any, folder: Path, qtbot: Any, held: FileLock, make_napari_viewer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(open_project, "LAST_S", 0.0)
    edits, window = shown_dock.viewer.layers["steel0 edits"], window_of(shown_dock)
    paint(edits, 5, 3)
    settled(shown_dock, qtbot)
    held.acquire()
    paint(edits, 10, 1)
    painted = edits.data.copy()
    window.close()
    qtbot.mouseClick(question().anyway, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.isVisible() and shown_dock.opened.worker.wait(0.0), timeout=20_000)
    held.release()
    del edits
    shown_dock.opened.autosave.forget()
    viewer = make_napari_viewer(show=True)
    _, again = open_part(viewer, "Project")
    again.open(folder)
    settled(again, qtbot)
    bar = again.panel.rescue_bar
    assert bar.isVisible() and "steel0" in bar.text.text()
    layer = viewer.layers["steel0 edits"]
    paint(layer, 30, 2)  # what was painted since stays
    qtbot.mouseClick(bar.restore_button, Qt.MouseButton.LeftButton)
    expected = np.where(painted > 0, painted, layer.data)
    assert np.array_equal(layer.data, expected) and (layer.data[30] == 2).any()
    settled(again, qtbot)
    assert not bar.isVisible() and np.array_equal(on_disk(folder), expected)
    assert not find_copies(Project.open(folder)), "a copy that is on the disk is not offered again"
    layer.undo()
    assert not (layer.data == 1).any() and (layer.data == 3).any(), "restoring can be undone"
    gc.collect()


def test_save_elsewhere(
    shown_dock: Any, tmp_path: Path, qtbot: Any, held: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.micrographs.label_maps import read_label_map

    monkeypatch.setattr(open_project, "LAST_S", 0.0)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    edits, window = shown_dock.viewer.layers["steel0 edits"], window_of(shown_dock)
    held.acquire()
    paint(edits, 10, 1)
    painted = edits.data.copy()
    window.close()
    qtbot.mouseClick(question().elsewhere, Qt.MouseButton.LeftButton)
    assert not window.isVisible()
    assert np.array_equal(read_label_map(tmp_path / "steel0_edits.tif"), painted)


def test_a_script_closes_without_being_asked(
    shown_dock: Any, folder: Path, qtbot: Any, held: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_project, "LAST_S", 0.0)
    held.acquire()
    paint(shown_dock.viewer.layers["steel0 edits"], 10, 1)
    shown_dock.viewer.close()
    assert question() is None and find_copies(Project.open(folder))


def test_a_closed_window_is_still_saved_when_the_lock_is_let_go(
    dock: Any, folder: Path, held: FileLock
) -> None:
    worker, edits = dock.opened.worker, dock.viewer.layers["steel0 edits"]
    held.acquire()
    for row in (10, 20, 30):
        paint(edits, row, 1)
        dock.opened.autosave.save()
    painted = edits.data.copy()
    dock.opened.leave()  # as at the end of the application
    assert find_copies(Project.open(folder))
    held.release()
    worker._pool.shutdown(wait=True)  # as Python does when it ends
    assert np.array_equal(on_disk(folder), painted) and not find_copies(Project.open(folder))


def test_a_closed_project_asks_too(
    dock: Any, folder: Path, qtbot: Any, held: FileLock, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "other", 1)
    held.acquire()
    paint(dock.viewer.layers["steel0 edits"], 10, 1)
    dock.close_project()
    assert dock.opened.project is not None and "could not be saved" in dock.panel.status.text()
    qtbot.mouseClick(question().back, Qt.MouseButton.LeftButton)
    dock.open(other)
    assert dock.opened.project.folder == folder
    qtbot.mouseClick(question().anyway, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.opened.project is not None and dock.opened.project.folder == other)
    held.release()
    settled(dock, qtbot)
    assert (on_disk(folder) == 1).any() or find_copies(Project.open(folder))


def test_fields_can_be_changed_while_nothing_can_be_saved(
    dock: Any, folder: Path, qtbot: Any, tmp_path: Path
) -> None:
    """A field that comes back, read from its files, shows what they could not take."""
    from phaseguide.widgets.project.field_viewer import HiddenFields

    paint(dock.viewer.layers["steel0 edits"], 5, 3)
    settled(dock, qtbot)
    (folder / "edits").rename(tmp_path / "edits")
    (folder / "edits").write_text("in the way")
    paint(dock.viewer.layers["steel0 edits"], 10, 1)
    painted = dock.viewer.layers["steel0 edits"].data.copy()
    dock.opened.show("steel1")
    qtbot.waitUntil(lambda: dock.opened.current == "steel1", timeout=20_000)
    dock.opened.fields._hidden = HiddenFields()
    (folder / "edits").unlink()
    (tmp_path / "edits").rename(folder / "edits")
    dock.opened.show("steel0")
    qtbot.waitUntil(lambda: dock.opened.current == "steel0", timeout=20_000)
    assert np.array_equal(dock.viewer.layers["steel0 edits"].data, painted)
    paint(dock.viewer.layers["steel0 edits"], 20, 2)
    settled(dock, qtbot)
    assert np.array_equal(on_disk(folder), dock.viewer.layers["steel0 edits"].data)


def test_a_folder_that_was_moved(
    dock: Any, folder: Path, qtbot: Any, told: list[str], tmp_path: Path
) -> None:
    edits = dock.viewer.layers["steel0 edits"]
    shutil.move(folder, tmp_path / "away")
    paint(edits, 10, 1)
    qtbot.waitUntil(lambda: any("no longer there" in one for one in told), timeout=20_000)
    assert not folder.exists(), "no ghost of the folder is made"
    shutil.move(tmp_path / "away", folder)
    settled(dock, qtbot)
    assert np.array_equal(on_disk(folder), edits.data)


def test_a_stroke_between_a_change_of_phases_and_its_reload(dock: Any, folder: Path, qtbot: Any) -> None:
    edits, opened = dock.viewer.layers["steel0 edits"], dock.opened
    paint(edits, 10, 2)
    settled(dock, qtbot)
    names = opened.project.scheme.names
    moves = {1: 2, 2: 1, 3: 3}

    def change(project: Project) -> dict[int, int]:
        project.change_scheme(PhaseScheme.from_names([names[1], names[0], names[2]]), moves)
        return moves

    failed: list[Any] = []
    opened.change_phases(change, lambda: None, failed.append)
    paint(edits, 20, 2)  # in the numbers that are on show
    settled(dock, qtbot)
    qtbot.waitUntil(lambda: opened.current == "steel0", timeout=20_000)
    settled(dock, qtbot)
    assert not failed
    saved = on_disk(folder)
    assert set(np.unique(saved)) == {0, 1} and (saved[10] == 1).any() and (saved[20] == 1).any()
    assert np.array_equal(dock.viewer.layers["steel0 edits"].data, saved)


def test_a_field_with_a_stray_stroke_is_not_reviewed(
    dock: Any, folder: Path, qtbot: Any, told: list[str]
) -> None:
    edits = dock.viewer.layers["steel0 edits"]
    paint(edits, 10, 9)
    dock.review()
    settled(dock, qtbot)
    assert Project.open(folder).field("steel0").state == "unreviewed"
    assert any("label 9" in one and "not reviewed" in one for one in told)
    paint(edits, 10, 0)
    assert not (edits.data == 9).any(), "the field can be painted again"


@pytest.mark.parametrize("what", ["reviewed", "discarded", "other image"])
def test_a_copy_that_is_not_put_on(
    dock: Any, folder: Path, qtbot: Any, told: list[str], what: str, data_dir: Path
) -> None:
    project = Project.open(folder)
    edits = np.zeros((96, 128), np.uint8)
    edits[5, 5:20] = 2
    path = rescue_path("steel0", "an-earlier-one")
    keep_copy(path, project, "steel0", edits, np.zeros_like(edits), "The disk was full.")
    if what == "other image":
        entry = project.field("steel0")
        with project.changing() as change:
            images = [entry.images[0].model_copy(update={"sha256": "0" * 64})]
            change.put(entry.model_copy(update={"images": images}))
        keep_copy(path, project, "steel0", edits, np.zeros_like(edits), "The disk was full.")
        with project.changing() as change:
            change.put(entry)
    dock.opened.copies.look()
    bar = dock.panel.rescue_bar
    assert seen(bar) and "The disk was full." in bar.text.text()
    if what == "reviewed":
        dock.review()
        settled(dock, qtbot)
    button = bar.discard_button if what == "discarded" else bar.restore_button
    assert seen(button)
    button.click()
    assert not dock.viewer.layers["steel0 edits"].data.any()
    if what == "discarded":
        assert not seen(bar) and list(data_dir.rglob(path.name)), "it lies in the recycle folder"
    else:
        assert seen(bar) and path.is_file()
        assert any(("Reopen" if what == "reviewed" else "another image") in one for one in told)
