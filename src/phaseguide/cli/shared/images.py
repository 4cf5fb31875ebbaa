"""Reading a micrograph for a command: what its file holds besides is told on standard error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.cli.shared.errors import say_notice
from phaseguide.errors import PhaseguideError

if TYPE_CHECKING:
    from phaseguide.micrographs import Micrograph


def read_image(path: Path) -> Micrograph:
    """Read a micrograph and tell its notices; errors as `phaseguide.micrographs.read_micrograph`."""
    from phaseguide.micrographs.reading import read_micrograph

    micrograph = read_micrograph(path)
    for notice in micrograph.notices:
        say_notice(f"{path.name}: {notice}")
    return micrograph


def check_plane(path: Path, planes: int, plane: int) -> None:
    """Make sure that a stack has a plane."""
    if plane >= planes:
        raise PhaseguideError(f"{path}: has planes 0 to {planes - 1}, and no plane {plane}.")
