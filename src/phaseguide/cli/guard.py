"""What the command line does with errors: one red sentence and an exit code, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from phaseguide.errors import PhaseguideError, describe_refusal

EXIT_SOME_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_STOPPED = 130
"""128 + SIGINT, as shells expect it."""


class GuardedGroup(TyperGroup):
    """The top-level group; every command runs inside its `invoke`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command and turn what a user can cause into an exit code."""
        try:
            return super().invoke(ctx)
        except PhaseguideError as error:
            say_error(str(error))
            raise typer.Exit(EXIT_USER_ERROR) from None
        except (OSError, MemoryError, RuntimeError) as error:
            message = describe_refusal(error)
            # A broken pipe: who read the output has left, as `head` does, and Typer ends quietly.
            if message is None or isinstance(error, BrokenPipeError):
                raise
            say_error(message)
            raise typer.Exit(EXIT_USER_ERROR) from None
        except KeyboardInterrupt:
            say_error("Stopped.")
            raise typer.Exit(EXIT_STOPPED) from None


def say_error(message: str) -> None:
    """Write one red sentence to standard error."""
    _say(message, "red")


def say_notice(message: str) -> None:
    """Write one yellow sentence to standard error."""
    _say(message, "yellow")


def _say(message: str, style: str) -> None:
    from rich.console import Console

    # Messages quote file names and values: no markup, no highlighting, and no breaks inside paths.
    Console(stderr=True).print(message, style=style, markup=False, highlight=False, soft_wrap=True)
