"""The console of all commands: texts of files and people are shown as they are. Imported late, for rich is slow."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from phaseguide.plain_text import visible


class PlainConsole(Console):
    """A console on which no text is markup, an emoji or a control sequence, in tables and titles either."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into text to print; rich calls it for everything that is no text yet."""
        return super().render_str(visible(text), **options)
