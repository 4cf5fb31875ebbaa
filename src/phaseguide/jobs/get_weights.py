"""Getting the base weights of a model, as generators for a worker thread and the command line. Free of Qt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from phaseguide.control import Control
from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress

Events = Iterator[Progress | Notice | Finished[Path]]


def download(size: str, control: Control, mirror: str | None = None) -> Events:
    """Download the official weights of a size; ends without a result when ``control`` says stop.

    What was downloaded until then is kept. ``mirror``: address of a folder to get them from; see there.

    Raises
    ------
    PhaseguideError
        See `phaseguide.models.sam.weights.fetch_base`.
    """
    from phaseguide.models.sam.weights import fetch_base

    yield from _until_stopped(fetch_base(size, mirror), control)


def take_file(path: Path, sha256: str, control: Control) -> Events:
    """Take a file of base weights where it lies; ends without a result when ``control`` says stop.

    Raises
    ------
    ModelError
        Not weights, or not those with the checksum; such a file is not remembered.
    PhaseguideError
        It cannot be remembered.
    """
    from phaseguide.models.sam.checksums import read_index
    from phaseguide.models.sam.weights import adding, forget_base

    before = read_index().added
    for event in _until_stopped(adding(path), control):
        if not isinstance(event, Finished):
            yield event
            continue
        entry = event.result
        if entry.sha256 != sha256:
            if str(entry.path) not in before:
                forget_base(entry.path)
            what = (
                f"the official weights of {entry.size}"
                if entry.official
                else "another file, or a damaged one"
            )
            raise ModelError(
                f"{path}: is not what this model needs, but {what}: its checksum is {entry.sha256[:12]}..., and "
                f"{sha256[:12]}... is needed. Choose another file."
            )
        yield Finished(entry.path)


def _until_stopped(events: Iterator[Any], control: Control) -> Iterator[Any]:
    with closing(events):  # type: ignore[type-var]
        for event in events:
            yield event
            if control.stopping and not isinstance(event, Finished):
                return
