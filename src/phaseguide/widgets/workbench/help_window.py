"""The help of the workbench: a page for each step, and the glossary, in a window beside it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

from qtpy.QtWidgets import QDialog, QHBoxLayout, QTextBrowser, QVBoxLayout, QWidget

from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.workbench.state import STEPS, Step

SIZE = (520, 560)

Page = Literal["image", "segment", "correct", "teach", "report", "glossary"]


@cache
def help_text(page: Page) -> str:
    """Return a page in Markdown, as it ships with the package."""
    return files("phaseguide.widgets.workbench").joinpath("help", f"{page}.md").read_text(encoding="utf-8")


class HelpWindow(QDialog):
    """Stays open while the user goes on working, and follows the step on show."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.page: Page = "image"
        self.browser = QTextBrowser()
        self.browser.setOpenExternalLinks(True)
        self.step_button = button("This step", "Show the help of the step on show.")
        self.glossary_button = button("Glossary", "Show what the words mean.")
        self.close_button = button("Close", "Close this window.")
        self._step: Step = "image"
        row = QHBoxLayout()
        row.addWidget(self.step_button)
        row.addWidget(self.glossary_button)
        row.addStretch(1)
        row.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.addWidget(self.browser, 1)
        column.addLayout(row)
        self.resize(*SIZE)
        self.step_button.clicked.connect(lambda: self.show_page(self._step))
        self.glossary_button.clicked.connect(lambda: self.show_page("glossary"))
        self.close_button.clicked.connect(self.close)

    def show_step(self, step: Step) -> None:
        """Show the help of a step."""
        self._step = step
        self.show_page(step)

    def show_page(self, page: Page) -> None:
        """Show a page."""
        self.page = page
        title = "Glossary" if page == "glossary" else STEPS[page][0]
        self.setWindowTitle(f"Phase Guide: {title}")
        self.browser.setMarkdown(help_text(page))
