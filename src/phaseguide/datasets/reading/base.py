"""What every layout gives: where its data come from, and its fields, one by one, with the project's own labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy import uint8
from numpy.typing import NDArray

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.phases import PhaseScheme

YOURS = "that of your data"


@dataclass(frozen=True)
class About:
    """What is known of a layout without looking at a folder: all of it for people to read."""

    name: str
    title: str
    expects: str
    licence: str = YOURS
    source: str = ""
    citation: str = ""
    holds: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return plain JSON-compatible values."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Field:
    """One image with its labels as the project has them: 0 not classified, 1..K, 255 excluded.

    ``image`` is (H, W) or (H, W, 3), ``labels`` (H, W). ``copied`` says that ``image`` is what its file holds, so that
    the file itself can be copied. ``bar_rows`` counts rows of information bars, cut off or not.
    """

    image: NDArray[Any]
    labels: NDArray[uint8]
    pixel_size_um: float | None = None
    bar_rows: int = 0
    copied: bool = True
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Entry:
    """A field that has not been read yet.

    ``read`` gives it, and raises an error that names file and line or entry. ``made_of`` tells the files and values
    that decide what comes out, so that a later run knows whether it would get the same. ``image_path`` is None where
    the image lies in a container.
    """

    stem: str
    read: Callable[[], Field]
    made_of: tuple[str, ...]
    image_path: Path | None = None


Groups = dict[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Listing:
    """A folder in a layout: its phases and its fields, none of them read.

    ``groups`` are the stems of each split or fold; ``grouping`` says which of the two they are.
    """

    about: About
    folder: Path
    scheme: PhaseScheme
    entries: tuple[Entry, ...]
    groups: Groups = field(default_factory=dict)
    grouping: Literal["splits", "folds"] = "splits"
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A layout in the registry: ``matches`` looks at names only, or at the beginning of a file."""

    about: About
    matches: Callable[[Path], bool]
    open: Callable[[Path, LayoutOptions], Listing]
