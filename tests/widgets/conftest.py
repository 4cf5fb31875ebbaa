"""A real viewer with the Segment widget docked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

# Before a viewer loads Mesa's LLVM: afterwards triton, which comes along, would crash the process
# wherever a test imports torch without the widget's precautions.
import segmentation_models_pytorch  # noqa: F401

# Before the first test, so that what these import is not looked at by every collection of garbage.
from napari._qt import qt_main_window  # noqa: F401
from npe2 import PluginManifest

from light_viewer import LightViewer
from tiny_models import tiny_model
from widget_helpers import micrograph
from workbench_helpers import open_part

PATIENCE_MS = 120_000


@pytest.fixture
def qtbot(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """pytest-qt's bot with more patience: on a busy machine everything comes, only later."""

    def patient(wait: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, timeout=0, **options: wait(*args, timeout=max(timeout, PATIENCE_MS), **options)

    for name in ("waitUntil", "waitSignal", "waitSignals"):
        monkeypatch.setattr(qtbot, name, patient(getattr(qtbot, name)))
    return qtbot


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session", autouse=True)
def _manifests_are_read_once() -> Iterator[None]:
    """Let each viewer find the plugins without a look at everything that is installed."""
    found = list(PluginManifest.discover())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", lambda paths=(): iter(found))
        yield


@pytest.fixture(scope="session")
def plugins_are_known(_manifests_are_read_once: None) -> None:
    """For files that open files in a light viewer: napari's own does this when it is made."""
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


@pytest.fixture(autouse=True)
def _layers_belong_to_the_gui_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let napari raise if a worker writes to a layer that it got through the viewer."""
    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


@pytest.fixture
def napari_window() -> None:
    """For a test that needs napari's own window in a file whose others do without."""


@pytest.fixture
def model_viewer(qtbot: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Layers and docks without napari's window. A file of tests that needs no more calls this one ``viewer``."""
    if "napari_window" in request.fixturenames:
        yield request.getfixturevalue("make_napari_viewer")()
        return
    viewer = LightViewer()
    yield viewer
    viewer.close()


@pytest.fixture
def widget(viewer: Any, model_file: Path, qtbot: Any) -> Any:
    """The Segment widget in a dock, with the tiny model chosen."""
    _, widget = open_part(viewer, "Segment")
    widget.panel.model_box.open_file(model_file)
    qtbot.waitUntil(lambda: "looking" not in widget.panel.device_line.text(), timeout=60_000)
    return widget


@pytest.fixture
def segment(widget: Any, qtbot: Any) -> Callable[[], None]:
    """Press Segment and wait for the end."""
    from qtpy.QtCore import Qt

    def press() -> None:
        with qtbot.waitSignal(widget.runner.ended, timeout=60_000):
            qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)

    return press


@pytest.fixture
def done(widget: Any, viewer: Any, segment: Callable[[], None]) -> Any:
    """The Segment widget after a first segmentation of 'steel'; there is no project."""
    viewer.add_image(micrograph(), name="steel")
    segment()
    return widget


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Errors and hints that napari shows as notifications."""
    import napari.utils.notifications

    shown: list[str] = []
    for kind in ("show_error", "show_info", "show_warning"):
        monkeypatch.setattr(napari.utils.notifications, kind, shown.append)
    return shown
