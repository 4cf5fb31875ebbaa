"""A viewer whose window holds docks and nothing else: no canvas, no layer list, no menus.

It opens in a twentieth of the time of napari's own. For tests of what a dock does with layers; whatever is about keys,
the mouse, drawing or napari's window takes the fixture ``make_napari_viewer``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from pydantic import PrivateAttr
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QDockWidget, QWidget

import phaseguide

OURS = PluginManifest.from_file(Path(phaseguide.__file__).parent / "napari.yaml").contributions
PLACES = {command.id: command.python_name for command in OURS.commands or ()}
DOCKS = {dock.display_name: PLACES[dock.command] for dock in OURS.widgets or ()}


class Docks:
    """What the tests need of napari's window: docks are added, removed, and closed with it."""

    def __init__(self, viewer: LightViewer) -> None:
        self._viewer = viewer
        self._frames: list[QDockWidget] = []

    def add_plugin_dock_widget(
        self, plugin: str, name: str, *, tabify: bool = False
    ) -> tuple[QDockWidget, Any]:
        """Open a dock of this plugin by its name, once, on the viewer as napari wraps it for plugins."""
        assert plugin == "napari-phaseguide"
        for frame in self._frames:
            if frame.windowTitle() == name:
                return frame, frame.widget()
        widget = import_python_name(DOCKS[name])(PublicOnlyProxy(self._viewer))
        return self.add_dock_widget(widget, name=name), widget

    def add_dock_widget(self, widget: QWidget, *, name: str = "") -> QDockWidget:
        frame = QDockWidget(name)
        frame.setWidget(widget)
        self._frames.append(frame)
        return frame

    def remove_dock_widget(self, widget: QWidget) -> None:
        """Take a widget out of its frame, as napari does; either of the two may be given."""
        frame = widget if widget in self._frames else widget.parent()
        self._frames.remove(frame)
        frame.widget().setParent(None)
        frame.deleteLater()

    def close(self) -> None:
        for frame in list(self._frames):
            widget = frame.widget()
            self.remove_dock_widget(frame)
            widget.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


class LightViewer(ViewerModel):
    """Layers, dims, camera and docks."""

    _window: Docks = PrivateAttr()

    def __init__(self) -> None:
        super().__init__()
        self._window = Docks(self)

    @property
    def window(self) -> Docks:
        return self._window

    def close(self) -> None:
        self.layers.clear()
        self._window.close()
