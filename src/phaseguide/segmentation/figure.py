"""A picture for a report: the phases over the micrograph, and below them name, scale bar and legend with area %."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.lengths import length_text, scale_length
from phaseguide.phases import EXCLUDED

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

    from phaseguide.segmentation.request import Segmentation

INK, PAPER, FAINT, DARK = "#202020", "#ffffff", "#606060", "#000000"

NARROWEST = 320
"""Width that a legend has at least, in px; a smaller picture stands at its left."""

_BAR = 0.25
"""Part of the picture's width that a scale bar takes at most."""


@dataclass(frozen=True)
class Entry:
    """One line of a legend."""

    colour: str
    text: str


def legend_entries(segmentation: Segmentation) -> list[Entry]:
    """Return colour, name and area % in the mask of each phase, and what is excluded of the image if anything is."""
    shares = zip(segmentation.scheme, segmentation.achieved, strict=True)
    entries = [Entry(phase.colour, f"{phase.name}  {_percent(float(share))}") for phase, share in shares]
    excluded = float((segmentation.labels == EXCLUDED).mean())
    if excluded:
        entries.append(Entry(DARK, f"excluded  {_percent(excluded)} of the image"))
    return entries


def with_legend(
    picture: NDArray[np.uint8], title: str, entries: list[Entry], note: str, pixel_size_um: float | None
) -> NDArray[np.uint8]:
    """Put a white strip below a picture, with title, scale bar, legend and note.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        It stands pixel for pixel in the upper left corner of what is returned.
    title : str
    entries : list of Entry
        In rows, as many in one as have room.
    note : str
        In small letters below; empty for none.
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None leaves the scale bar out.

    Returns
    -------
    ndarray of uint8, shape (H + strip, max(W, 320) or more, 3)
    """
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    size = int(np.clip(width / 45, 13, 64))
    font, small = _font(size), _font(max(11, round(0.8 * size)))
    gap, line = size // 2, round(1.5 * size)
    widest = max((font.getlength(entry.text) for entry in entries), default=0.0)
    cell = int(widest) + size + 3 * gap
    full = max(width, NARROWEST, cell + gap)
    columns = max(1, min((full - gap) // cell, len(entries)))
    rows = -(-len(entries) // columns)
    notes = _wrapped(note, small, full - 2 * gap)
    scale = None if pixel_size_um is None else scale_length(_BAR * width * pixel_size_um)
    bar = 0 if scale is None or pixel_size_um is None else max(1, round(scale / pixel_size_um))
    said = "" if scale is None else length_text(scale)
    bar_room = bar + int(font.getlength(said)) + 2 * gap if bar else 0
    titles = _wrapped(title, font, full - 2 * gap)
    beside = len(titles) == 1 and font.getlength(title) + bar_room + 3 * gap <= full
    lines = len(titles) + rows + (1 if bar and not beside else 0)
    strip = Image.new("RGB", (full, lines * line + len(notes) * round(1.2 * size) + 2 * gap), PAPER)
    draw, y = ImageDraw.Draw(strip), gap
    for text in titles:
        draw.text((gap, y + line // 2), text, INK, font, anchor="lm")
        y += line
    if bar:
        middle = y - line // 2 if beside else y + line // 2
        left, half = (full - bar_room if beside else gap), max(1, size // 8)
        draw.rectangle((left, middle - half, left + bar - 1, middle + half), INK)
        draw.text((left + bar + gap, middle), said, INK, font, anchor="lm")
        y += 0 if beside else line
    for at, entry in enumerate(entries):
        left, middle = gap + at % columns * cell, y + at // columns * line + line // 2
        box = (left, middle - size // 2, left + size, middle + size // 2)
        draw.rectangle(box, entry.colour, INK)
        draw.text((left + size + gap, middle), entry.text, INK, font, anchor="lm")
    y += rows * line
    for text in notes:
        draw.text((gap, y), text, FAINT, small)
        y += round(1.2 * size)
    whole = np.full((height + strip.height, full, 3), 255, dtype=np.uint8)
    whole[:height, :width], whole[height:] = picture, np.asarray(strip)
    return whole


def _percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _wrapped(text: str, font: FreeTypeFont, room: float) -> list[str]:
    """Break a text into lines; a word that is too long is cut where it must."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
            continue
        while font.getlength(word) > room and len(word) > 1:
            fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= room)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return lines


@cache
def _font(size: int) -> Any:
    """DejaVu Sans, which has Greek letters and umlauts, from the files of Matplotlib."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
