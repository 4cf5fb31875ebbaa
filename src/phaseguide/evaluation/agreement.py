"""Where a label map hits a phase and where it does not, pixel by pixel.

White is a hit, cyan a false alarm, magenta a miss, black the rest, dark grey what no label judges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, Phase, PhaseScheme

HIT, FALSE_ALARM, MISS, REST, NOT_JUDGED = range(1, 6)

KINDS = PhaseScheme(
    (
        Phase(HIT, "hit", "#ffffff"),
        Phase(FALSE_ALARM, "false alarm", "#00ffff"),
        Phase(MISS, "miss", "#ff00ff"),
        Phase(REST, "neither", "#000000"),
        Phase(NOT_JUDGED, "not judged", "#404040"),
    )
)
"""What a pixel can be, with the colours in which it is shown."""


def agreement(true: NDArray[np.uint8], found: NDArray[np.uint8], label: int) -> NDArray[np.uint8]:
    """Return for every pixel of two label maps of one shape which of `KINDS` it is, as to a phase."""
    kinds = np.array([REST, FALSE_ALARM, MISS, HIT], dtype=np.uint8)
    result: NDArray[np.uint8] = kinds[2 * (true == label).astype(np.intp) + (found == label)]
    result[(true == NOT_CLASSIFIED) | (true == EXCLUDED)] = NOT_JUDGED
    return result


def agreement_picture(true: NDArray[np.uint8], found: NDArray[np.uint8], label: int) -> NDArray[np.uint8]:
    """Colour every pixel by whether a phase is there and was found, shape (H, W, 3)."""
    colours = np.array([[0, 0, 0], *(list(bytes.fromhex(kind.colour[1:])) for kind in KINDS)], dtype=np.uint8)
    picture: NDArray[np.uint8] = colours[agreement(true, found, label)]
    return picture
