"""What the command line does with errors: one red sentence and an exit code, never a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from phaseguide.errors import PhaseguideError, UnexpectedError, as_user_error, describe_refusal

EXIT_SOME_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_UNEXPECTED = 70
"""A fault of the program itself, as sysexits.h has it."""

EXIT_STOPPED = 130
"""128 + SIGINT, as shells expect it."""

LOG = "errors.log"
LOG_BYTES = 1_000_000


class GuardedGroup(TyperGroup):
    """The top-level group; every command runs inside its `invoke`."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; a stream that cannot show a letter shows its number."""
        for stream in (sys.stdout, sys.stderr):
            if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
                reconfigure(errors="backslashreplace")
        return super().main(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and turn what goes wrong into a sentence and an exit code."""
        _keep_log()
        try:
            return super().invoke(ctx)
        except UnexpectedError as error:
            say_error(f"{error} (Log: {_log_file()})")
            raise typer.Exit(EXIT_UNEXPECTED) from None
        except PhaseguideError as error:
            say_error(str(error))
            raise typer.Exit(EXIT_USER_ERROR) from None
        except KeyboardInterrupt:
            say_error("Stopped.")
            raise typer.Exit(EXIT_STOPPED) from None
        except Exception as error:
            # What Typer raises to end a command or to explain its usage, and a broken pipe: who read the output
            # has left, as `head` does, and Typer ends quietly.
            if _is_typers_own(error) or isinstance(error, BrokenPipeError):
                raise
            if (message := describe_refusal(error)) is not None:
                say_error(message)
                raise typer.Exit(EXIT_USER_ERROR) from None
            say_error(f"{as_user_error(error, _command(ctx))} (Log: {_log_file()})")
            raise typer.Exit(EXIT_UNEXPECTED) from None


def say_error(message: str) -> None:
    """Write one red sentence to standard error."""
    _say(message, "red")


def leave_with(message: str, failures: Iterable[Exception]) -> NoReturn:
    """End a command some of whose work failed: say so, say what of it, and leave with the exit code for it."""
    say_error(message)
    for failure in failures:
        say_error(f"  {failure}")
    raise typer.Exit(EXIT_SOME_FAILED)


def say_notice(message: str) -> None:
    """Write one yellow sentence to standard error."""
    _say(message, "yellow")


def _say(message: str, style: str) -> None:
    from phaseguide.cli.shared.console import PlainConsole

    PlainConsole(stderr=True).print(message, style=style, soft_wrap=True)  # no breaks inside paths


def _is_typers_own(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("typer", "click")


def _command(ctx: Any) -> str:
    return f"phaseguide {ctx.invoked_subcommand}" if ctx.invoked_subcommand else "phaseguide"


def _log_file() -> Path:
    from phaseguide.folders import user_model_folder

    return user_model_folder().parent / LOG


class _LogFile(logging.Handler):
    """Keeps what went wrong inside the program, with its traceback, in the user's data folder."""

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record; a log that has grown large begins anew."""
        try:
            path = _log_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            anew = path.exists() and path.stat().st_size > LOG_BYTES
            with path.open("w" if anew else "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {self.format(record)}\n")
        except OSError as error:
            sys.stderr.write(f"The log cannot be written ({error.strerror or error}).\n")


def _keep_log() -> None:
    logger = logging.getLogger("phaseguide")
    if not any(isinstance(handler, _LogFile) for handler in logger.handlers):
        logger.addHandler(_LogFile(logging.WARNING))
        # What it has to say of a damaged file is told in our own sentence.
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
