"""Text files that microscopes write beside an image: the size of a pixel."""

from __future__ import annotations

import re
from pathlib import Path

from phaseguide.micrographs.lengths import length_um
from phaseguide.text_files import parse_number, read_text

_MOST_BYTES = 1_000_000
_ENTRY = re.compile(r"^[ \t]*\$*([A-Za-z_]+)[ \t]*[= \t][ \t]*(.*?)[ \t]*$", re.MULTILINE)


def find_beside(path: Path, width: int) -> tuple[float, str] | None:
    """Find the edge of a pixel (micrometres, and who says so) in the text file that a TESCAN, JEOL or Hitachi
    microscope wrote beside an image. A record of another ``width`` in px is not about these pixels.
    """
    stem, end = path.stem, path.suffix.removeprefix(".")
    for name in (f"{stem}.hdr", f"{stem}-{end}.hdr", f"{path.name}.hdr", f"{stem}.txt", f"{path.name}.txt"):
        for file in (path.with_name(name), path.with_name(name[:-4] + name[-4:].upper())):
            try:
                text = read_text(file, _MOST_BYTES)
            except (OSError, ValueError):  # it costs the scale, not the image
                continue
            if found := find_in_header(text, width):
                return found
    return None


def find_in_header(text: str, width: int) -> tuple[float, str] | None:
    """Find the edge of a pixel in micrometres in the text of such a file; see `find_beside`."""
    told = {key.upper(): value for key, value in reversed(_ENTRY.findall(text))}  # the first of a name counts
    try:
        size, source = _from_entries(told)
        known_width = re.match(r"\d+", told.get("CM_FULL_SIZE", told.get("DATASIZE", "")))
    except (LookupError, ValueError, ZeroDivisionError):
        return None
    fits = size is not None and (known_width is None or known_width[0] == str(width))
    return (size, source) if size is not None and fits else None


def _from_entries(told: dict[str, str]) -> tuple[float | None, str]:
    if "PIXELSIZEX" in told:
        x, y = (length_um(f"{told.get(key, told['PIXELSIZEX'])} m") for key in ("PIXELSIZEX", "PIXELSIZEY"))
        return square(x, y), "TESCAN header"
    if "SM_MICRON_BAR" in told:
        bar = parse_number(told["SM_MICRON_BAR"].split()[0])
        marker = length_um(told["SM_MICRON_MARKER"])
        return None if marker is None else marker / bar, "JEOL text file"
    size = length_um(f"{told['PIXELSIZE']} nm")
    return size if size is not None else length_um(told["PIXELSIZE"]), "Hitachi text file"


def square(x: float | None, y: float | None) -> float | None:
    """One edge for both directions, or None if they differ by more than 1 %."""
    if x is None or y is None:
        return x if y is None else y
    return x if x > 0 and abs(x - y) <= 0.01 * x else None
