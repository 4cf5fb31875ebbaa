"""The folded *Advanced* part, built from the fields of `phaseguide.segmentation.settings.Advanced`."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal

from phaseguide.segmentation.settings import Advanced
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.qt.form import Form
from phaseguide.widgets.segment.embeddings_row import EmbeddingsRow


class AdvancedBox(Collapsible):
    """A form of `Advanced`, folded at first."""

    changed = Signal()

    def __init__(self, start: Advanced) -> None:
        self.form = Form(Advanced, start=start)
        super().__init__("Advanced", self.form)
        self.embeddings = EmbeddingsRow()
        self.form.rows.addRow("On disk", self.embeddings)
        self.form.changed.connect(self.changed)

    @property
    def controls(self) -> dict[str, Any]:
        """The controls by the field that they set."""
        return self.form.controls

    def value(self) -> Advanced:
        """What is chosen."""
        return Advanced(**self.form.values())
