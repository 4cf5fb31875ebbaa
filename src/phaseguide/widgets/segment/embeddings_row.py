"""How much the embeddings on disk take, and a button that removes them; a line of the *Advanced* form."""

from __future__ import annotations

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from phaseguide.errors import PhaseguideError
from phaseguide.segmentation.network.embedding_files import (
    EmbeddingFolder,
    default_folder,
    default_location,
    embedding_folder,
)
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import in_background


class EmbeddingsRow(QWidget):
    """A line of text and a button."""

    def __init__(self) -> None:
        super().__init__()
        self.label = Label()
        self.label.setWordWrap(True)
        self.button = QPushButton("Clear")
        self.button.setToolTip(
            "Remove the embeddings of all images from the disk. Images, models and results are not touched."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        self.button.clicked.connect(self.clear)

    def refresh(self) -> None:
        """Look how much there is."""
        in_background(self, lambda: _folder().size(), self._show, self._fail)

    def clear(self) -> None:
        """Remove all."""
        self.button.setEnabled(False)
        self._say("Clearing …")
        in_background(self, lambda: _folder().clear(), lambda _: self.refresh(), self._fail)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look again: sessions have written meanwhile."""
        super().showEvent(event)
        self.refresh()

    def _show(self, size: int) -> None:
        text = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
        self._say(f"{text} kept" if size else "Nothing kept")
        self.label.setToolTip(str(_folder().path))
        self.button.setEnabled(size > 0)

    def _fail(self, error: BaseException) -> None:
        self._say(str(error), alarm=True)
        self.button.setEnabled(True)

    def _say(self, text: str, *, alarm: bool = False) -> None:
        self.label.setText(text)
        self.label.setStyleSheet(ALARM if alarm else "")


def _folder() -> EmbeddingFolder:
    """Where sessions of the dock keep embeddings; see `phaseguide.jobs.session_store.SessionStore`."""
    try:
        return embedding_folder(default_location()) or EmbeddingFolder(default_folder())
    except PhaseguideError:  # told when a session is made
        return EmbeddingFolder(default_folder())
