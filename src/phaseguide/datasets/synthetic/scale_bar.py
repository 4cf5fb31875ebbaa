"""The information bar that an instrument writes below an image, with its scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.lengths import scale_length

_INK, _GROUND = 255, 0
_LONGEST = 0.4
"""Of the width, that a scale bar takes."""


def information_bar(width: int, rows: int, pixel_size_um: float) -> NDArray[np.uint8]:
    """Draw a black bar with a scale bar, its length in words, and that the image is synthetic where there is room.

    Parameters
    ----------
    width, rows : int
        Size in px.
    pixel_size_um : float
        Size of a pixel in micrometres.

    Returns
    -------
    ndarray of uint8, shape (rows, width)
    """
    from PIL import Image, ImageDraw, ImageFont

    length_um = scale_length(_LONGEST * width * pixel_size_um)
    length_px, gap = max(1, round(length_um / pixel_size_um)), max(3, rows // 6)
    picture = Image.new("L", (width, rows), _GROUND)
    draw, middle = ImageDraw.Draw(picture), rows // 2
    half = max(1, rows // 12)
    draw.rectangle((gap, middle - half, gap + length_px - 1, middle + half - 1), fill=_INK)
    font = ImageFont.load_default(size=max(8, rows // 2))
    draw.text((2 * gap + length_px, middle), scale_text(length_um), fill=_INK, font=font, anchor="lm")
    used = 3 * gap + length_px + draw.textlength(scale_text(length_um), font=font)
    if used + draw.textlength("synthetic", font=font) + gap <= width:
        draw.text((width - gap, middle), "synthetic", fill=_INK, font=font, anchor="rm")
    return np.asarray(picture, dtype=np.uint8)


def scale_text(length_um: float) -> str:
    """Return ``20 um``, or nm or mm where they are the shorter; not every font has a micro sign."""
    if length_um >= 1000:
        return f"{length_um / 1000:g} mm"
    return f"{length_um:g} um" if length_um >= 1 else f"{1000 * length_um:g} nm"
