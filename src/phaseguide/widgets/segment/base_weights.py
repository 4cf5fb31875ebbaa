"""What a model lacks, and how to get it: the weights of Segment Anything that its adapters sit on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout

from phaseguide.control import Control
from phaseguide.errors import MissingBaseError
from phaseguide.events import Finished, Progress
from phaseguide.jobs.get_weights import download, take_file
from phaseguide.jobs.segment import Stopped
from phaseguide.widgets.qt.plain_text import Label, one_line
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import TaskRunner, Work

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.models.card import Card
    from phaseguide.widgets.segment.state import Say, SegmentState

FILES = "Weights of Segment Anything (*.pth *.pt);;All files (*)"


class BaseWeightsPanel(QFrame):
    """Hidden until a model lacks its base weights.

    ``arrived`` tells that the weights which were asked for are here.
    """

    arrived = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.sha256, self._size, self._done = "", "", 0
        self._begun = (0.0, 0)
        self.runner = TaskRunner(self)
        self.title, self.status = _text(), _text()
        self.download_button, self.file_button = QPushButton("Download"), QPushButton("Choose file…")
        self.stop_button = QPushButton("Stop")
        self.file_button.setToolTip(
            "Take a file that you have; it stays where it is, and its checksum is compared."
        )
        self.stop_button.setToolTip(
            "Stop; what was downloaded is kept, and the download goes on from there later."
        )
        self.progress = ProgressLine("Download")
        row = QHBoxLayout()
        for button in (self.download_button, self.file_button, self.stop_button):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.title)
        column.addLayout(row)
        column.addWidget(self.progress)
        column.addWidget(self.status)
        self.download_button.clicked.connect(self.download)
        self.file_button.clicked.connect(self.choose)
        self.stop_button.clicked.connect(self.stop)
        self.runner.progressed.connect(self._on_progress)
        self.runner.noticed.connect(lambda notice: self.say(notice.text))
        self.runner.ended.connect(self._on_ended)
        self.say("")
        self.hide()

    def ask_for(self, card: Card) -> None:
        """Show what a model lacks; nothing changes while its weights are on their way."""
        self.ask(one_line(card.name), card.base_sha256, card.backbone.encoder)

    def ask(self, who: str, sha256: str, encoder: str) -> None:
        """Show that somebody needs the weights with a checksum, of an encoder such as ``vit_b``; see `ask_for`."""
        from phaseguide.models.sam.checksums import bases_folder
        from phaseguide.models.sam.shapes import OFFICIAL, size_of_checksum
        from phaseguide.models.sam.weights import base_title

        if self.runner.running:
            if sha256 == self.sha256:
                self.show()
                return
            self.abandon()
        self.sha256, self._size = sha256, size_of_checksum(sha256) or ""
        lead = f"{who} needs {base_title(sha256, encoder)}"
        if self._size:
            megabytes = OFFICIAL[self._size].megabytes
            self.title.setText(
                f"{lead}, which are not on this computer. They are downloaded once ({megabytes} MB, licence "
                "Apache-2.0) and serve all models of this size."
            )
            self.download_button.setToolTip(f"Download {OFFICIAL[self._size].url} to {bases_folder()}")
        else:
            self.title.setText(
                f"{lead}, which are not on this computer and are none of the official ones. Ask whoever made the "
                "model for the file, and choose it here."
            )
        self.say(self._part())
        self._show_state()
        self.show()

    def dismiss(self) -> None:
        """Hide, and stop what is under way: another model was chosen."""
        if self.runner.running:
            self.abandon()
        self.hide()

    def download(self) -> None:
        """Start the download, or go on with it."""
        size = self._size
        if self.runner.running or not size:
            return
        self._start(lambda control: download(size, control))

    def choose(self) -> None:
        """Ask for a file and take it."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Weights of Segment Anything", "", FILES)
        if chosen and not self.runner.running:
            sha256 = self.sha256
            self._start(lambda control: take_file(Path(chosen), sha256, control))

    def stop(self) -> None:
        """Stop at the next event."""
        self.stop_button.setEnabled(False)
        self.say("Stopping …")
        self.runner.control.stop()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Put text below the buttons, all of it."""
        self.status.setText(text)
        self.status.setStyleSheet(ALARM if alarm else "")
        self.status.setVisible(bool(text))

    def abandon(self) -> None:
        """Stop and hear nothing more; for a widget that closes."""
        self.runner.abandon()
        self.progress.end()
        self._show_state()

    def _start(self, work: Work) -> None:
        self.say("")
        self._begun = (0.0, 0)
        self.progress.begin()
        self.runner.start(work)
        self._show_state()

    def _on_progress(self, event: Progress) -> None:
        now = time.monotonic()
        if not event.total:
            self.progress.show_step(event)
            return
        begun, first = self._begun
        if not begun or event.done < first:  # what was there before tells nothing of the speed
            begun, first = self._begun = (now, event.done)
        left = None
        if event.done > first:
            left = (now - begun) * (event.total - event.done) / (event.done - first)
        amount = f"{event.stage}: {event.done / 1e6:.0f} of {event.total / 1e6:.0f} MB"
        self.progress.show_step(Progress(amount, event.done, event.total, left))

    def _on_ended(self, path: Path | None, error: BaseException | None) -> None:
        self.progress.end()
        self._show_state()
        if error is not None:
            self.say(str(error), alarm=True)
        elif path is None:
            self.say(f"Stopped. {self._part()}".strip())
        else:
            self.hide()
            self.arrived.emit()

    def _show_state(self) -> None:
        running = self.runner.running
        self.download_button.setText("Go on with the download" if self._part() else "Download")
        self.download_button.setVisible(bool(self._size))
        self.download_button.setEnabled(not running)
        self.file_button.setEnabled(not running)
        self.stop_button.setEnabled(running)

    def _part(self) -> str:
        """How much was downloaded before; empty for nothing."""
        from phaseguide.models.sam.download import stopped_downloads
        from phaseguide.models.sam.shapes import OFFICIAL

        part = stopped_downloads().get(self._size)
        if part is None:
            return ""
        done = part.stat().st_size / 1e6
        return f"{done:.0f} of {OFFICIAL[self._size].megabytes} MB are downloaded and kept."


def load_model(
    path: Path, device: str, store: SessionStore, control: Control
) -> Iterator[Progress | Stopped | Finished[Path]]:
    """Load a model into the store, so that Segment need not; runs in a worker.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from phaseguide.jobs.warm_up import import_torch

    yield Progress("Loading the model", 0, 0)
    import_torch()
    if control.stopping:
        yield Stopped(0)
        return
    with store.lock:
        store.model(path, device)
    yield Progress("Loading the model", 1, 1)
    yield Finished(path)


class BaseWeightsFollower(QObject):
    """Lets the step Segment ask for base weights where its model lacks them, and load the model when they are here.

    Parameters
    ----------
    panel : BaseWeightsPanel
    state : SegmentState
    runner : TaskRunner
        Tells when a run has ended.
    store : SessionStore
        Gets the model.
    run : callable
        Starts work in the dock, given what to say.
    segment : callable
        Segments the chosen image.
    say : callable
        Takes a sentence.
    """

    def __init__(
        self,
        panel: BaseWeightsPanel,
        state: SegmentState,
        runner: TaskRunner,
        store: SessionStore,
        run: Callable[[str, Work], None],
        segment: Callable[[], None],
        say: Say,
    ) -> None:
        super().__init__(panel)
        self._panel, self._state, self._runner, self._store = panel, state, runner, store
        self._run, self._segment, self._say = run, segment, say
        self._segment_then = self._load_then = False
        self._loading = ""
        state.events.model.connect(self.look)
        runner.ended.connect(self._on_ended)
        self._panel.arrived.connect(self._on_arrived)
        self.look()

    def look(self) -> None:
        """Ask for the base weights if the chosen model lacks them. No file of weights is read for that."""
        from phaseguide.models.sam.weights import missing_base

        model = self._state.model
        self._segment_then = self._load_then = False
        if model is not None and missing_base(model.card):
            self._panel.ask_for(model.card)
        else:
            self._panel.dismiss()

    def take(self, error: BaseException) -> bool:
        """Ask for the base weights if a run has failed for lack of them; the run is then taken up again."""
        model = self._state.model
        if not isinstance(error, MissingBaseError) or model is None:
            return False
        self._panel.ask_for(model.card)
        self._segment_then = not self._loading
        name = model.card.name
        self._say(f"{name} lacks its base weights. Get them below the model's name.", alarm=True)
        return True

    def shut_down(self) -> None:
        """Stop a download; what came is kept."""
        self._panel.abandon()

    def _on_arrived(self) -> None:
        if self._segment_then:
            self._segment_then = False
            self._segment()
        else:
            self._load_then = True
            self._load()

    def _load(self) -> None:
        model = self._state.model
        if self._runner.running or model is None:
            return  # a run on another image ends first
        self._load_then, self._loading = False, model.card.name
        said = f"The weights are here. Loading {model.card.name} …"
        path, device, store = model.path, self._state.options.device, self._store
        self._run(said, lambda control: load_model(path, device, store, control))

    def _on_ended(self, loaded: Path | None, error: BaseException | None) -> None:
        from phaseguide.models.sam.weights import missing_base

        name, self._loading = self._loading, ""
        model = self._state.model
        if (
            error is None
            and model is not None
            and not self._panel.isHidden()
            and not missing_base(model.card)
        ):
            self._panel.dismiss()  # they came on another way
        if name and loaded is not None:
            self._say(f"{name} is ready.")
        if self._load_then:
            self._load()


def _text() -> QLabel:
    label = Label()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label
