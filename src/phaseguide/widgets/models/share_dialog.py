"""Asks what a model that is handed over says about itself, and in which form it goes."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Literal

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from phaseguide.models.architectures import SAM
from phaseguide.models.bioimageio.description import PackageText
from phaseguide.models.sharing import ShareText
from phaseguide.settings import Settings, setting
from phaseguide.widgets.qt.form import Form
from phaseguide.widgets.qt.plain_text import Label

if TYPE_CHECKING:
    from phaseguide.models.card import Card

FORMS = {
    "file": "Phase Guide: one model file with its card",
    "package": "bioimage.io: a package without the ratio",
}
NOTES = {
    "file": "The whole model, guidance included. Whoever gets the file presses Import. Folders of your disk are taken "
    "out of its record.",
    "package": "The network without a ratio, as TorchScript with test arrays, for ilastik, deepImageJ and others. What "
    "differs stands in its documentation.",
}
SAMPLE = "a sample that ships"


class ShareSettings(Settings):
    """What a model that is handed over says about itself; authors and test image are only for a package."""

    form: Literal["file", "package"] = setting("file", "As")
    name: str = setting("", "Name")
    description: str = setting("", "What it is for", lines=3)
    authors: str = setting("", "Authors", example="who made it; several with ;")
    model_licence: str = setting("", "Model licence", example="for example CC-BY-4.0")
    data_licence: str = setting("", "Data licence")
    citation: str = setting("", "Cite", example="with a DOI, if there is one")
    image: str = setting(SAMPLE, "Test image")


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
        tests = [*images, SAMPLE]
        # bioimage.io takes no model of Segment Anything; see `phaseguide.models.bioimageio.export.refuse_sam`.
        forms = [key for key in FORMS if key == "file" or card.backbone.architecture != SAM]
        self.form = Form(
            ShareSettings,
            start=ShareSettings(**asdict(text), image=tests[0]),
            choices={
                "form": [(FORMS[key], key) for key in forms],
                "image": [(test, test) for test in tests],
            },
        )
        self.note = Label()
        self.note.setWordWrap(True)
        choice = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(choice.Save | choice.Cancel)
        self.form.rows.addRow(self.note)
        self.form.rows.addRow(self.buttons)
        QVBoxLayout(self).addWidget(self.form)
        self.setMinimumWidth(520)
        self.form.controls["form"].currentIndexChanged.connect(self._on_form)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._on_form()

    @property
    def settings(self) -> ShareSettings:
        """What is set."""
        return ShareSettings(**self.form.values())

    @property
    def text(self) -> ShareText:
        """What the card is to say."""
        said = self.settings
        return ShareText(said.name, said.description, said.model_licence, said.data_licence, said.citation)

    @property
    def package_text(self) -> PackageText:
        """What a package says beside its card."""
        said = self.settings
        # The card may say more than the identifier: "BSD-3-Clause; encoder ...".
        licence = said.model_licence.partition(";")[0].strip()
        return PackageText(tuple(said.authors.split(";")), licence, said.citation)

    def _on_form(self) -> None:
        form = self.settings.form
        for name in ("authors", "image"):
            self.form.rows.setRowVisible(self.form.controls[name], form == "package")
        self.note.setText(NOTES[form])
        self.adjustSize()
