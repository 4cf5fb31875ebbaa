"""The Models widget in a real viewer, with real clicks: every button, every question, nothing lost."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.folders import user_model_folder
from phaseguide.models.model_file import read_card
from phaseguide.models.recycle import list_recycled
from phaseguide.models.sharing import with_card
from phaseguide.models.zoo import add_model, list_models
from widget_helpers import micrograph
from workbench_helpers import NAME, PLUGIN, close_workbench, open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def models(viewer: Any, model_file: Path, tmp_path: Path) -> Any:
    """The Models widget with one model of the user's, fine-tuned as its card says."""
    card = read_card(model_file).model_copy(
        update={
            "training": {"parent": "uhcs", "sources": [{"name": "/home/anna/f1.tif"}]}, "version": "v002",
            "scores": {"validation blocks": {"dice_mean": 0.913}},
        }
    )  # fmt: skip
    file = tmp_path / "bainite.safetensors"
    file.write_bytes(with_card(model_file.read_bytes(), card))
    add_model(file)
    _, widget = open_part(viewer, "Models")
    choose(widget, "bainite")
    return widget


def names() -> set[str]:
    return {entry.name for entry in list_models() if entry.origin == "user"}


def item(widget: Any, name: str) -> Any:
    return next(i for i in widget.list.items() if i.text(0) == name)


def choose(widget: Any, name: str) -> None:
    widget.list.setCurrentItem(item(widget, name))


@pytest.fixture
def press(models: Any, qtbot: Any) -> Callable[..., None]:
    """Choose a command of the menu, answer the dialogs that it opens one after the other, and wait for the end."""
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    def click(key: str, *answers: Callable[[Any], None]) -> None:
        waiting, open_dialogs = list(answers), []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is not None and dialog not in open_dialogs and waiting:
                open_dialogs.append(dialog)
                waiting.pop(0)(dialog)

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(50)
        models.commands[key].trigger()
        timer.stop()
        assert not waiting, "a question was not asked"
        qtbot.waitUntil(lambda: not models._busy, timeout=60_000)

    return click


def button(qtbot: Any, name: str) -> Callable[[Any], None]:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QDialogButtonBox, QMessageBox

    def answer(dialog: Any) -> None:
        owner = dialog if isinstance(dialog, QMessageBox) else dialog.findChild(QDialogButtonBox)
        kind = getattr(type(owner).StandardButton, name)
        qtbot.mouseClick(owner.button(kind), Qt.MouseButton.LeftButton)

    return answer


def text(qtbot: Any, words: str) -> Callable[[Any], None]:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QLineEdit

    def answer(dialog: Any) -> None:
        line = dialog.findChild(QLineEdit)
        line.selectAll()
        qtbot.keyClicks(line, words)
        qtbot.keyClick(line, Qt.Key.Key_Return)

    return answer


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """What the file dialogs, which are the system's own, return."""
    from qtpy.QtWidgets import QFileDialog

    def set_path(path: Path) -> None:
        for method in ("getSaveFileName", "getOpenFileName"):
            monkeypatch.setattr(QFileDialog, method, lambda *_, **__: (str(path), ""))

    return set_path


def test_the_list_tells_name_score_parent_version_and_phases(models: Any) -> None:
    cells = [item(models, "bainite").text(column) for column in range(5)]
    assert (
        cells[:4] == ["bainite", "91.3 on held-out blocks", "uhcs", "v002"] and "carbide network" in cells[4]
    )
    assert item(models, "uhcs").text(1) == "85.5 on unseen images, by folds"
    assert "no score of a whole image" in item(models, "bainite").toolTip(1)
    assert "by a model of the same recipe" in item(models, "uhcs").toolTip(1)
    assert "On held-out blocks: Dice 91.30 %" in models.details.text()
    assert "Fine-tuned from uhcs" in models.details.text()
    choose(models, "uhcs")
    assert not models.commands["delete"].isEnabled() and models.commands["export"].isEnabled()


def test_save_as_export_import(
    models: Any, press: Any, file: Any, tmp_path: Path, qtbot: Any, told: Any
) -> None:
    press("save_as", text(qtbot, "copy"))
    assert names() == {"bainite", "copy"} and models.list.row.name == "copy"
    choose(models, "bainite")
    out = tmp_path / "out.safetensors"
    file(out)
    press("export")
    assert out.read_bytes() == (user_model_folder() / "bainite.safetensors").read_bytes()
    assert "out.safetensors" in models.status.text()
    press("export")
    assert "Choose another name" in models.status.text() and told
    press("import_")
    assert "out" in names()
    press("import_", text(qtbot, "lab2"))
    assert "lab2" in names() and models.list.row.name == "lab2"
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    file(tmp_path / "bad.safetensors")
    press("import_")
    assert "not a model file" in models.status.text() and "bad" not in names()
    assert all(models.commands[k].isEnabled() for k in ("import_", "delete"))
    assert not models.commands["restore"].isEnabled(), "nothing was deleted"
    assert "No model was deleted" in models.commands["restore"].toolTip()


def test_delete_asks_and_restore_brings_back(models: Any, press: Any, qtbot: Any) -> None:
    content = (user_model_folder() / "bainite.safetensors").read_bytes()
    assert not models.commands["restore"].isEnabled()
    press("delete", button(qtbot, "No"))
    assert names() == {"bainite"} and not list_recycled()
    press("delete", button(qtbot, "Yes"))
    assert names() == set() and "Restore" in models.status.text()
    assert models.commands["restore"].isEnabled()
    press("restore", button(qtbot, "Cancel"))
    assert names() == set()
    press("restore", button(qtbot, "Ok"))
    assert (user_model_folder() / "bainite.safetensors").read_bytes() == content
    assert models.list.row.name == "bainite" and not list_recycled()


def test_restoring_beside_a_model_of_that_name_asks_for_another(
    models: Any, press: Any, qtbot: Any, model_file: Path
) -> None:
    press("delete", button(qtbot, "Yes"))
    add_model(model_file, "bainite")
    press("restore", button(qtbot, "Ok"), text(qtbot, "old"))
    assert names() == {"bainite", "old"}


def test_share_fills_the_card(
    models: Any, press: Any, file: Any, tmp_path: Path, qtbot: Any, told: Any
) -> None:
    out = tmp_path / "shared.safetensors"
    file(out)
    press("share", button(qtbot, "Save"))
    assert "say what it is for" in models.status.text() and not out.exists() and told

    def fill(dialog: Any) -> None:
        controls = dialog.form.controls
        assert not controls["authors"].isVisible()
        qtbot.keyClicks(controls["description"], "TRIP steel")
        qtbot.keyClicks(controls["model_licence"], "CC-BY-4.0")
        button(qtbot, "Save")(dialog)

    press("share", fill)
    card = read_card(out)
    assert (card.name, card.description, card.model_licence) == ("bainite", "TRIP steel", "CC-BY-4.0")
    assert card.training["sources"] == [{"name": "f1.tif"}], "no folders of this disk"


def test_share_for_bioimage_io_with_the_image_in_the_viewer(
    models: Any, viewer: Any, press: Any, file: Any, tmp_path: Path, qtbot: Any
) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    image = micrograph((100, 140, 3))
    viewer.add_image(image, name="field 7", rgb=True)
    viewer.add_image(np.zeros((3, 64, 64)), name="stack")
    file(tmp_path / "package.zip")

    def fill(dialog: Any) -> None:
        controls = dialog.form.controls
        controls["form"].setCurrentIndex(1)
        assert controls["image"].itemText(0) == "field 7"
        assert controls["image"].count() == 2 and controls["authors"].isVisible()
        qtbot.keyClicks(controls["authors"], "Ada; Bob")
        qtbot.keyClicks(controls["model_licence"], "CC-BY-4.0")
        button(qtbot, "Save")(dialog)

    press("share", fill)
    assert "package.zip" in models.status.text()
    described = spec.load_model_description(tmp_path / "package.zip")
    assert [a.name for a in described.authors] == ["Ada", "Bob"]
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        assert "field 7" in archive.read("README.md").decode()


def rested(segment: Any, qtbot: Any) -> None:
    """Wait until it has imported what it needs: the next test would meet it on its way."""
    qtbot.waitUntil(lambda: "looking" not in segment.panel.device_line.text(), timeout=60_000)


def test_use_reaches_the_segment_widget(models: Any, viewer: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    _, workbench = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    segment = workbench.segment
    rested(segment, qtbot)
    qtbot.mouseClick(models.use_button, Qt.MouseButton.LeftButton)
    assert workbench.state.step == "segment", "Use opens the step that uses it"
    assert segment.panel.model_box.path == models.list.row.path
    assert "in use" in models.status.text()
    other = next(one for one in models.list.items() if one.text(0) != "bainite")
    models.list.setCurrentItem(other)
    models.list.itemDoubleClicked.emit(other, 0)
    assert segment.panel.model_box.path == models.list.row.path != user_model_folder() / "bainite.safetensors"


def test_one_menu_at_the_list_and_behind_more(models: Any, qtbot: Any) -> None:
    assert models.more_button.menu() is models.menu
    titles = [action.text() for action in models.menu.actions() if not action.isSeparator()]
    assert titles[0] == "Use" and "Delete…" in titles and len(titles) == 8
    place = models.list.visualItemRect(item(models, "bainite")).center()
    models.list.customContextMenuRequested.emit(place)
    qtbot.waitUntil(models.menu.isVisible)
    models.menu.hide()


def test_versions_of_the_open_project_are_deleted_and_restored_there(
    models: Any, press: Any, qtbot: Any, tmp_path: Path, told: list[str]
) -> None:
    project_module = pytest.importorskip("phaseguide.projects.project")
    from phaseguide.models.model_file import load_model

    model = load_model(user_model_folder() / "bainite.safetensors")
    project = project_module.Project.create(tmp_path / "steel", model.card.scheme, model="bainite")
    project.add_version(
        model.segmenter, model.card, parent="bainite", parent_sha256="", data_sha256="", settings={},
        before={}, after={},
    )  # fmt: skip
    models.opened.open(tmp_path / "steel")
    choose(models, "v001")
    assert models.list.row.parent == "bainite" and models.list.row.origin == "project"
    content = models.list.row.path.read_bytes()
    press("delete", button(qtbot, "Yes"))
    assert "v001" not in [i.text(0) for i in models.list.items()]
    press("restore", button(qtbot, "Ok"))
    choose(models, "v001")
    assert models.list.row.path.read_bytes() == content and "Restored v001" in models.status.text()
    models.opened.project.use("v001")
    told.clear()
    press("delete", button(qtbot, "Yes"))
    assert told and "in use" in models.status.text() and models.list.row.path.read_bytes() == content
    models.opened.close()
    assert "v001" not in [i.text(0) for i in models.list.items()]


def test_deleting_what_the_open_project_uses_says_so(
    models: Any, press: Any, tmp_path: Path, qtbot: Any
) -> None:
    project_module = pytest.importorskip("phaseguide.projects.project")
    scheme = models.list.row.card.scheme
    project_module.Project.create(tmp_path / "steel", scheme, name="steel", model="bainite")
    models.opened.open(tmp_path / "steel")

    def read(dialog: Any) -> None:
        assert "project steel uses it" in dialog.text()
        button(qtbot, "No")(dialog)

    press("delete", read)
    assert names() == {"bainite"}


def test_the_widget_closes_while_it_works(
    models: Any, viewer: Any, file: Any, tmp_path: Path, qtbot: Any
) -> None:
    out = tmp_path / "out.safetensors"
    file(out)
    models.commands["export"].trigger()
    close_workbench(viewer)
    qtbot.waitUntil(lambda: out.exists() and out.stat().st_size > 0, timeout=30_000)
    qtbot.wait(200)


def test_importing_the_widget_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, phaseguide.widgets.models.dock; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
