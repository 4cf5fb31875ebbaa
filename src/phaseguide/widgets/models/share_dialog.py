"""Asks what a model that is handed over says about itself, and in which form it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from phaseguide.models.bioimageio.description import PackageText
from phaseguide.models.sam.presence import is_sam
from phaseguide.models.sharing import ShareText
from phaseguide.widgets.qt.plain_text import Label

if TYPE_CHECKING:
    from phaseguide.models.card import Card

FORMS = ("Phase Guide: one model file with its card", "bioimage.io: a package without the ratio")
NOTES = (
    "The whole model, guidance included. Whoever gets the file presses Import. Folders of your disk are taken out of "
    "its record.",
    "The network without a ratio, as TorchScript with test arrays, for ilastik, deepImageJ and others. What differs "
    "stands in its documentation.",
)
SAMPLE = "a sample that ships (uhcs0220)"


class ShareDialog(QDialog):
    """Form and texts of a model to hand over.

    Parameters
    ----------
    name : str
        What the model is called here.
    images : list of str
        Names of the image layers that can become test image and cover of a bioimage.io package.
    """

    def __init__(self, card: Card, name: str, images: list[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Share {name}")
        text = replace(ShareText.from_card(card), name=name)
        self.form = QComboBox()
        # bioimage.io takes no model of Segment Anything; see `phaseguide.models.bioimageio.export.refuse_sam`.
        self.form.addItems(FORMS[:1] if is_sam(card) else FORMS)
        self.name, self.licence, self.data_licence = (
            QLineEdit(value) for value in (text.name, text.model_licence, text.data_licence)
        )
        self.authors, self.citation = QLineEdit(), QLineEdit(text.citation)
        self.description = QPlainTextEdit(text.description)
        self.description.setFixedHeight(64)
        self.licence.setPlaceholderText("for example CC-BY-4.0")
        self.authors.setPlaceholderText("who made it; several with ;")
        self.citation.setPlaceholderText("with a DOI, if there is one")
        for line in (self.name, self.licence, self.data_licence, self.citation):
            line.setCursorPosition(0)  # the beginning of a long text shows, not its end
        self.image = QComboBox()
        self.image.addItems([*images, SAMPLE])
        self.note = Label()
        self.note.setWordWrap(True)
        choice = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(choice.Save | choice.Cancel)
        self.rows = QFormLayout(self)
        for label, field in (
            ("As", self.form), ("Name", self.name), ("What it is for", self.description), ("Authors", self.authors),
            ("Model licence", self.licence), ("Data licence", self.data_licence), ("Cite", self.citation),
            ("Test image", self.image),
        ):  # fmt: skip
            self.rows.addRow(label, field)
        self.rows.addRow(self.note)
        self.rows.addRow(self.buttons)
        self.setMinimumWidth(520)
        self.form.currentIndexChanged.connect(self._on_form)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._on_form()

    @property
    def as_package(self) -> bool:
        """Whether it becomes a package of bioimage.io."""
        return bool(self.form.currentIndex() == 1)

    @property
    def text(self) -> ShareText:
        """What the card is to say."""
        return ShareText(
            self.name.text(), self.description.toPlainText(), self.licence.text(), self.data_licence.text(),
            self.citation.text(),
        )  # fmt: skip

    @property
    def package_text(self) -> PackageText:
        """What a package says beside its card."""
        # The card may say more than the identifier: "BSD-3-Clause; encoder ...".
        licence = self.licence.text().partition(";")[0].strip()
        return PackageText(tuple(self.authors.text().split(";")), licence, self.citation.text())

    def _on_form(self) -> None:
        for field in (self.authors, self.image):
            self.rows.setRowVisible(field, self.as_package)
        self.note.setText(NOTES[self.form.currentIndex()])
        self.adjustSize()
