"""In which folder a dialog for saving opens: beside the image, then where the user last chose another place."""

from __future__ import annotations

from pathlib import Path

import phaseguide

SHIPPED = Path(phaseguide.__file__).parent
"""With the samples; nothing is offered to be saved there."""

_chosen: list[Path] = []


def offered(name: str, beside: Path | None) -> str:
    """Return a file, or with an empty name the folder, that a dialog for saving starts with.

    Parameters
    ----------
    name : str
    beside : Path or None
        File of the image that is saved from; None where it came from no file.
    """
    if beside is not None and beside.is_relative_to(SHIPPED):
        beside = None
    folder = next((one for one in _chosen if one.is_dir()), None if beside is None else beside.parent)
    return name if folder is None else str(folder / name)


def note_choice(chosen: str, offer: str) -> None:
    """Remember the folder of a file, or the folder, that was chosen, where it is another than the one offered."""
    place, was = Path(chosen), Path(offer)
    folder, before = (one if one.is_dir() else one.parent for one in (place, was))
    if folder != before:
        _chosen[:] = [folder]
