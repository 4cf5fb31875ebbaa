"""The project's log: one JSON object a line, only ever appended to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phaseguide.errors import ProjectError
from phaseguide.files import read_plain
from phaseguide.json_files import parse_json
from phaseguide.projects.places import LOG

CREATED, CHANGED, TAKEN_BACK = "created", "phases changed", "phases taken back"
"""Events that tell of phases."""

_MOST_BYTES = 256 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024


def now() -> str:
    """Time as the project writes it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append(folder: Path, event: str, details: Mapping[str, Any]) -> None:
    """Append a line and see it onto the disk."""
    line = json.dumps({"time": now(), "event": event, **details}, ensure_ascii=False, default=str)
    # A name of a file that is not UTF-8 is written as JSON escapes it.
    written = line.encode("utf-8", "backslashreplace")
    path = folder / LOG
    try:
        # Without a buffer a line is one write, so those of two processes do not run into each other.
        with path.open("ab+", buffering=0) as file:
            file.write((b"" if _ends_a_line(file) else b"\n") + written + b"\n")
            os.fsync(file.fileno())
    except OSError as error:
        raise ProjectError(
            f"{path}: {event!r} could not be added to the log ({error.strerror or error}); what it tells of is "
            "done. Free some space there, or check that you may write to the project's folder."
        ) from error


def read(folder: Path) -> list[dict[str, Any]]:
    """Read all lines, oldest first; one that a dying process left torn, or that is no sound JSON, is passed over."""
    path = folder / LOG
    try:
        written = read_plain(path, _MOST_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise ProjectError(f"{path}: {error}. Move it away; the project does without.") from error
    lines = []
    for text in written.split(b"\n"):
        if len(text) > _LONGEST_LINE:
            continue
        try:
            line = parse_json(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def _ends_a_line(file: Any) -> bool:
    """Whether a log is empty or ends as it should; a process that died in a line left it open."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
