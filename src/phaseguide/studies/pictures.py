"""Small pictures as text, so that the numbers of a study hold what its figure shows."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.segmentation.saving import png_bytes

SIDE = 240
"""Longest side of a kept picture, px."""


def picture_text(picture: NDArray[Any]) -> str:
    """Return a label map or a grey image (H, W) of uint8, thinned to `SIDE`, as the text of a PNG."""
    step = -(-max(picture.shape) // SIDE)
    return b64encode(png_bytes(np.ascontiguousarray(picture[::step, ::step]))).decode()


def grey_picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a normalised image (C, H, W), about -1 to 1, as grey."""
    grey: NDArray[np.uint8] = np.clip((image.mean(0) + 1) * 127.5, 0, 255).astype(np.uint8)
    return grey


def text_picture(text: str) -> NDArray[np.uint8]:
    """Read what `picture_text` wrote."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(b64decode(text))))


def coloured(labels: NDArray[np.uint8], scheme: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Colour a label map by a scheme, as its ``to_dict`` writes it; what is no phase is black. Shape (H, W, 3)."""
    table = np.zeros((256, 3), dtype=np.uint8)
    for phase in scheme["phases"]:
        table[phase["label"]] = list(bytes.fromhex(phase["color"].lstrip("#")))
    found: NDArray[np.uint8] = table[labels]
    return found


def show(axes: Any, picture: NDArray[np.uint8], title: str) -> None:
    """Draw a picture without axes, under a short title."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.set_axis_off()


def phase_handles(scheme: Mapping[str, Any]) -> list[Any]:
    """Handles of a legend that names the phases."""
    from matplotlib.patches import Patch

    return [Patch(facecolor=p["color"], label=p["name"]) for p in scheme["phases"]]
