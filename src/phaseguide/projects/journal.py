"""The project's log: one JSON object a line, only ever appended to."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phaseguide.errors import ProjectError

FILE = "log.jsonl"


def now() -> str:
    """Time as the project writes it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append(folder: Path, event: str, details: dict[str, Any]) -> None:
    """Append a line and see it onto the disk.

    Raises
    ------
    ProjectError
        It cannot be written.
    """
    line = json.dumps({"time": now(), "event": event, **details}, ensure_ascii=False, default=str)
    path = folder / FILE
    try:
        with path.open("ab") as file:
            # A process that died in a line left no line end: its rest stays a line of its own.
            torn = file.tell() > 0 and not _ends_a_line(path)
            file.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ProjectError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space there, or check that you "
            "may write to the project's folder."
        ) from error


def read(folder: Path) -> list[dict[str, Any]]:
    """Read all lines; one that a dying process left torn is passed over."""
    path = folder / FILE
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
