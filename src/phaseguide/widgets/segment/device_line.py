"""A line that names the device which the network will run on; it is looked for in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QSizePolicy

from phaseguide.segmentation.network.device import Device
from phaseguide.widgets.layers.warm_up import describe_device, find_device
from phaseguide.widgets.qt.dock import later
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import Options
    from phaseguide.widgets.segment.state import SegmentState

LOOKING = "looking …"

FIRST_MS = 100
"""Importing torch would slow down what is being drawn when the dock opens."""


class DeviceLine(Label):
    """Follows the device that is chosen.

    Parameters
    ----------
    state : SegmentState
    """

    def __init__(self, state: SegmentState) -> None:
        super().__init__(LOOKING)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._state = state
        state.events.options.connect(self._on_options)
        state.events.device.connect(self._show)
        later(self, self._find, FIRST_MS)

    def _on_options(self, new: Options, old: Options) -> None:
        if new.device != old.device:
            self._find()

    def _find(self) -> None:
        wanted = self._state.options.device
        self.setText(LOOKING)
        in_background(self, lambda: find_device(wanted), self._take, self._fail)

    def _take(self, device: Device) -> None:
        self._state.device = device
        self._show(device)  # the state tells nothing of the device that it has already

    def _show(self, device: Device | None) -> None:
        self.setText(LOOKING if device is None else describe_device(device))
        self.setStyleSheet("")

    def _fail(self, error: BaseException) -> None:
        self._state.device = None
        self.setText(str(error))
        self.setStyleSheet(ALARM)
