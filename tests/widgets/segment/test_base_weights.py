"""Base weights that a model lacks: the Segment widget asks for them, gets them, and loads the model by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phaseguide.models.sam import shared_base as bases
from phaseguide.models.sam.checksums import bases_folder
from phaseguide.models.sam.shapes import OFFICIAL, OfficialFile
from phaseguide.models.zoo import add_model, list_models
from sam_files import write_base
from sam_models import sam_model
from weights_server import Server, isolate, serving
from widget_helpers import micrograph
from workbench_helpers import open_part

NAME = "sam_vit_b_01ec64.pth"


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Weights of a tiny encoder, which these tests take for the official ViT-B."""
    return write_base(tmp_path_factory.mktemp("away"))


@pytest.fixture(scope="session")
def adapted(tmp_path_factory: pytest.TempPathFactory, weights: tuple[Path, str]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(weights[0]))
        patch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        return sam_model(tmp_path_factory.mktemp("models"), weights[1], "pearlite-sam")


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: tuple[Path, str], data_dir: Path
) -> Iterator[Server]:
    """Offers the weights; this computer has none."""
    bases._bases.clear()
    isolate(monkeypatch, tmp_path)
    content = weights[0].read_bytes()
    monkeypatch.setitem(OFFICIAL, "vit_b", OfficialFile(NAME, weights[1], round(len(content) / 1e6)))
    with serving() as state:
        state.content = content
        monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", state.address)
        yield state


@pytest.fixture
def lacking(server: Server, widget: Any, adapted: Path, qtbot: Any) -> Any:
    """The Segment widget with a model chosen that lacks its base weights."""
    widget.window().show()
    widget.panel.reveal(widget.panel.base_weights)
    widget.panel.model_box.open_file(adapted)
    qtbot.waitUntil(lambda: widget.panel.base_weights.isVisible())
    return widget


def click(qtbot: Any, button: Any) -> None:
    from qtpy.QtCore import Qt

    assert button.isEnabled() and button.isVisible()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def is_loaded(widget: Any) -> bool:
    return not widget.runner.running and "pearlite-sam is ready" in widget.panel.status.text()


def test_other_models_ask_for_nothing(server: Server, widget: Any) -> None:
    assert widget.panel.base_weights.isHidden()


def test_it_says_what_is_missing_and_hashes_nothing(
    server: Server, widget: Any, adapted: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing a model happens in the GUI thread, so no file of gigabytes may be read for it."""
    from phaseguide.models.sam import checksums

    bases_folder().mkdir(parents=True)
    (bases_folder() / "other.pth").write_bytes(bytes(5_000_000))

    def read(*_: Any) -> Any:
        raise AssertionError("a file of weights was read")

    monkeypatch.setattr(checksums, "stamping", read)
    widget.panel.model_box.open_file(adapted)
    panel = widget.panel.base_weights
    assert not panel.isHidden() and not panel.stop_button.isEnabled()
    for words in (
        "pearlite-sam",
        "needs SAM ViT-B weights",
        "Apache-2.0",
        f"{OFFICIAL['vit_b'].megabytes} MB",
    ):
        assert words in panel.title.text()
    add_model(adapted)
    entry = next(e for e in list_models() if e.name == "pearlite-sam")
    assert entry.problem == "needs SAM ViT-B weights" and entry.card is not None
    widget.panel.model_box.combo.setCurrentIndex(0)
    assert panel.isHidden(), "another model was chosen"


def test_a_download_loads_the_model_without_another_click(lacking: Any, qtbot: Any) -> None:
    panel = lacking.panel.base_weights
    click(qtbot, panel.download_button)
    assert panel.stop_button.isEnabled() and not panel.download_button.isEnabled()
    qtbot.waitUntil(lambda: is_loaded(lacking), timeout=60_000)
    assert panel.isHidden() and (bases_folder() / NAME).is_file()
    (model,) = lacking.store._models.values()
    assert model.card.name == "pearlite-sam"


def test_stop_keeps_the_part_and_the_download_goes_on(lacking: Any, server: Server, qtbot: Any) -> None:
    panel = lacking.panel.base_weights
    server.pause_s = 0.01
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: " MB" in panel.progress.format() and panel.progress.value() > 100, timeout=30_000)
    qtbot.waitUntil(lambda: "left" in panel.progress.format(), timeout=30_000)
    click(qtbot, panel.stop_button)
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=30_000)
    part = bases_folder() / f"{NAME}.part"
    done = part.stat().st_size
    assert 0 < done < len(server.content)
    assert panel.status.text().startswith("Stopped.") and "are downloaded and kept" in panel.status.text()
    assert panel.download_button.text() == "Go on with the download" and panel.isVisible()
    server.pause_s = 0.0
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: is_loaded(lacking), timeout=60_000)
    assert server.asked[-1][1] == f"bytes={done}-"


def test_offline_is_told_in_full(lacking: Any, server: Server, qtbot: Any, monkeypatch: Any) -> None:
    panel = lacking.panel.base_weights
    monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", "http://127.0.0.1:9/")
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    text = panel.status.text()
    assert "cannot be reached" in text and "Offline: get " in text and str(bases_folder()) in text
    assert text.endswith("to the file or its folder.") and panel.status.isVisible()
    # Nothing is cut, once the dock is laid out anew.
    status = panel.status
    qtbot.waitUntil(lambda: status.height() >= status.heightForWidth(status.width()), timeout=10_000)
    monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", server.address)
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: is_loaded(lacking), timeout=60_000)


def test_a_file_that_the_user_has(
    lacking: Any, qtbot: Any, weights: tuple[Path, str], tmp_path: Path, monkeypatch: Any
) -> None:
    from qtpy.QtWidgets import QFileDialog

    other, _ = write_base(tmp_path, seed=7)
    chosen = [str(other), str(weights[0])]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (chosen.pop(0), ""))
    panel = lacking.panel.base_weights
    click(qtbot, panel.file_button)
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=30_000)
    assert f"{other}: is not what this model needs" in panel.status.text() and panel.isVisible()
    from phaseguide.models.sam.checksums import read_index

    assert not read_index().added, "a wrong file is not remembered"
    click(qtbot, panel.file_button)
    qtbot.waitUntil(lambda: is_loaded(lacking), timeout=60_000)
    assert panel.isHidden() and str(weights[0]) in read_index().added


def test_segment_pressed_too_early_is_taken_up_again(
    lacking: Any, viewer: Any, qtbot: Any, segment: Callable[[], None], told: list[str]
) -> None:
    viewer.add_image(micrograph((96, 112)), name="steel")
    lacking.panel.base_weights.hide()
    segment()
    panel = lacking.panel.base_weights
    assert panel.isVisible() and "lacks its base weights" in lacking.panel.status.text() and not told
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: "steel phases" in viewer.layers and not lacking.runner.running, timeout=60_000)
    assert "Segmented in" in lacking.panel.status.text() and panel.isHidden()


def test_weights_that_are_not_official_cannot_be_downloaded(
    lacking: Any, tmp_path: Path, adapted: Path, monkeypatch: Any, weights: tuple[Path, str]
) -> None:
    own = OfficialFile(NAME, "0" * 64, 375)
    monkeypatch.setitem(OFFICIAL, "vit_b", own)
    lacking.weights.look()
    panel = lacking.panel.base_weights
    assert not panel.download_button.isVisible() and panel.file_button.isVisible()
    assert "none of the official ones" in panel.title.text() and weights[1][:12] in panel.title.text()


def test_the_models_list_tells_and_use_asks(lacking: Any, viewer: Any, adapted: Path, qtbot: Any) -> None:
    lacking.panel.model_box.combo.setCurrentIndex(0)
    add_model(adapted)
    _, models = open_part(viewer, "Models")
    item = next(i for i in models.list.items() if i.text(0) == "pearlite-sam")
    assert "needs SAM ViT-B weights" in item.text(4)
    models.list.setCurrentItem(item)
    assert "needs SAM ViT-B weights" in models.details.text()
    assert models.commands["use"].isEnabled() and models.commands["merge"].isEnabled()
    models.use()
    assert not lacking.panel.base_weights.isHidden()
    built_in = next(i for i in models.list.items() if i.text(0) == "uhcs")
    models.list.setCurrentItem(built_in)
    assert not models.commands["merge"].isEnabled()


def test_merge_in_the_models_dock(
    lacking: Any, viewer: Any, adapted: Path, qtbot: Any, tmp_path: Path, weights: Any, monkeypatch: Any
) -> None:
    from qtpy.QtWidgets import QFileDialog

    add_model(adapted)
    _, models = open_part(viewer, "Models")
    models.list.setCurrentItem(next(i for i in models.list.items() if i.text(0) == "pearlite-sam"))
    out = tmp_path / "merged.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(out), ""))
    models.merge()
    qtbot.waitUntil(lambda: not models._busy, timeout=60_000)
    assert "not at hand" in models.status.text() and not out.exists()
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(weights[0]))
    models.merge()
    qtbot.waitUntil(lambda: not models._busy, timeout=60_000)
    assert models.status.text() == f"Wrote {out}"


def test_closing_the_dock_ends_a_download(lacking: Any, viewer: Any, server: Server, qtbot: Any) -> None:
    panel = lacking.panel.base_weights
    server.pause_s = 0.05
    click(qtbot, panel.download_button)
    qtbot.waitUntil(lambda: panel.progress.value() > 0, timeout=30_000)
    control = panel.runner.control
    lacking.shut_down()
    assert control.stopping and not panel.runner.running
