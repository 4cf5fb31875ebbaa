"""Lets the Segment widget ask for base weights where its model lacks them, and load the model when they are here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from phaseguide.errors import MissingBaseError
from phaseguide.events import Progress
from phaseguide.jobs.segment import Stopped

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.widgets.segment.dock import SegmentWidget


def load_model(
    path: Path, device: str, store: SessionStore, stop: threading.Event
) -> Iterator[Progress | Stopped]:
    """Load a model into the store, so that Segment need not; runs in a worker.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from phaseguide.jobs.warm_up import import_torch

    yield Progress("Loading the model", 0, 0)
    import_torch()
    if stop.is_set():
        yield Stopped(0)
        return
    with store.lock:
        store.model(path, device)
    yield Progress("Loading the model", 1, 1)


class BaseWeightsFollower(QObject):
    """Follows the chosen model of a Segment widget.

    Parameters
    ----------
    widget : SegmentWidget
    """

    def __init__(self, widget: SegmentWidget) -> None:
        super().__init__(widget)
        self._widget, self._panel = widget, widget.panel.base_weights
        self._segment_then = self._load_then = False
        self._loading = ""
        widget.panel.model_box.changed.connect(self.look)
        widget.runner.ended.connect(self._on_ended)
        self._panel.arrived.connect(self._on_arrived)
        self.look()

    def look(self) -> None:
        """Ask for the base weights if the chosen model lacks them. No file of weights is read for that."""
        from phaseguide.models.sam.presence import missing_base

        card = self._widget.panel.model_box.card
        self._segment_then = self._load_then = False
        if card is not None and missing_base(card):
            self._panel.ask_for(card)
        else:
            self._panel.dismiss()

    def take(self, error: BaseException) -> bool:
        """Ask for the base weights if a run has failed for lack of them; the run is then taken up again."""
        card = self._widget.panel.model_box.card
        if not isinstance(error, MissingBaseError) or card is None:
            return False
        self._panel.ask_for(card)
        self._segment_then = not self._loading
        self._widget.say(f"{card.name} lacks its base weights. Get them below the model's name.", alarm=True)
        self._widget.panel.reveal(self._panel)
        return True

    def shut_down(self) -> None:
        """Stop a download; what came is kept."""
        self._panel.abandon()

    def _on_arrived(self) -> None:
        if self._segment_then:
            self._segment_then = False
            self._widget.segment()
        else:
            self._load_then = True
            self._load()

    def _load(self) -> None:
        widget = self._widget
        path, card = widget.panel.model_box.path, widget.panel.model_box.card
        if widget.runner.running or path is None or card is None:
            return  # a run on another image ends first
        self._load_then, self._loading = False, card.name
        widget.panel.progress.begin()
        widget.say(f"The weights are here. Loading {card.name} …")
        widget.runner.start(load_model, path, widget.panel.advanced.value().device, widget.store)
        widget.show_state()

    def _on_ended(self, stopped_after: int, error: BaseException | None) -> None:
        name, self._loading = self._loading, ""
        if name and error is None and stopped_after < 0:
            self._widget.say(f"{name} is ready.")
        if self._load_then:
            self._load()
