"""Groups of commands, which all show their help where no command of them is named."""

from __future__ import annotations

import typer


def command_group(help_text: str) -> typer.Typer:
    """Return a group without commands; they are added to it."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=help_text)
