"""A combo box of models: those that ship, the user's, and files opened by hand."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from phaseguide.errors import ModelError
from phaseguide.files.foreign import resolved
from phaseguide.models.card import Card
from phaseguide.models.model_file import read_card
from phaseguide.models.zoo import SUFFIX
from phaseguide.widgets.qt.plain_text import as_plain, one_line
from phaseguide.widgets.segment.known_models import known_models


class ModelBox(QWidget):
    """Choose a model; one whose file cannot be used is shown greyed, with the reason as its tip."""

    changed = Signal()
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.combo, self._items = QComboBox(), QStandardItemModel(self)
        self.combo.setModel(self._items)
        self.combo.setToolTip("The model decides which phases there are.")
        self.combo.setMinimumContentsLength(12)
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip(f"Choose a model file ({SUFFIX}).")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.open_button)
        self._cards: dict[str, Card] = {}
        self.reset_choices()
        self.combo.currentIndexChanged.connect(self._on_choice)
        self.open_button.clicked.connect(self._ask)

    @property
    def path(self) -> Path | None:
        """File of the chosen model, or None."""
        text = self.combo.currentData()
        return Path(text) if text in self._cards else None

    @property
    def card(self) -> Card | None:
        """Card of the chosen model, or None."""
        return self._cards.get(self.combo.currentData() or "")

    def reset_choices(self) -> None:
        """List the models that ship and the user's."""
        for entry in known_models():
            self._add(str(entry.path), f"{entry.name} ({entry.origin})", entry.card, entry.problem)
        if not self.combo.count():
            self.combo.setPlaceholderText("no model yet: open a file")

    def open_file(self, path: str | Path) -> None:
        """Add a model by its file and choose it; `failed` tells why not."""
        path = resolved(path)
        try:
            card = read_card(path)
        except ModelError as error:
            self.failed.emit(str(error))
            return
        index = self.combo.findData(str(path))
        if index < 0:
            self._add(str(path), path.stem, card, "")
            index = self.combo.count() - 1
        self._cards[str(path)] = card
        if index == self.combo.currentIndex():
            self._on_choice()
        self.combo.setCurrentIndex(index)

    def choose_one_for(self, phases: tuple[str, ...]) -> bool:
        """Choose the first model of exactly these phases; False if there is none."""
        for index in range(self.combo.count()):
            card = self._cards.get(self.combo.itemData(index))
            if card is not None and card.scheme.names == phases:
                self.combo.setCurrentIndex(index)
                return True
        return False

    def _add(self, path: str, title: str, card: Card | None, problem: str) -> None:
        self.combo.addItem(one_line(title), path)
        index = self.combo.count() - 1
        if card is None:
            item = self._items.item(index)
            if item is not None:
                item.setEnabled(False)
            self.combo.setItemData(index, as_plain(problem), Qt.ItemDataRole.ToolTipRole)
            if self.combo.currentIndex() == index:
                self.combo.setCurrentIndex(-1)
            return
        self._cards[path] = card
        self.combo.setItemData(index, as_plain(card.description or path), Qt.ItemDataRole.ToolTipRole)
        if self.combo.currentIndex() < 0:
            self.combo.setCurrentIndex(index)

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", f"Models (*{SUFFIX});;All files (*)")
        if path:
            self.open_file(path)

    def _on_choice(self) -> None:
        self.changed.emit()
