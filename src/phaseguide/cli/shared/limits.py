"""How large a number an option takes. Every number has a smallest and a largest value, and none is infinite."""

from __future__ import annotations

from typing import Any

from phaseguide import option_values
from phaseguide.errors import PhaseguideError

MOST_PIXELS = 10**9
MOST_SMOOTHING = 1000.0
MOST_OPENING = 100
THRESHOLDS = (0.001, 0.999)
MOST_PLANES = 10**6
MOST_REPEATS = 10_000
SIDES = (32, 65_536)


SEED: dict[str, Any] = dict(zip(("min", "max"), option_values.SEED, strict=True))
THREADS: dict[str, Any] = {
    **dict(zip(("min", "max"), option_values.THREADS, strict=True)),
    "help": "CPU threads; 0 leaves torch's default.",
}
TILE: dict[str, Any] = dict(zip(("min", "max"), option_values.TILE, strict=True))
REPEATS: dict[str, Any] = {"min": 1, "max": MOST_REPEATS}
PLANE: dict[str, Any] = {"min": 0, "max": MOST_PLANES, "metavar": "Z"}


def finite(value: float | None) -> float | None:
    """Refuse what is no number; as a callback of an option, whose limits let it pass."""
    if value is not None and value != value:
        raise PhaseguideError("nan is no number. Give a number with digits, for example 0.5.")
    return value


def read_sides(text: str) -> list[int]:
    """Read sides of square images in pixels, "512,1024"."""
    try:
        sides = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        sides = []
    if not sides or not all(SIDES[0] <= side <= SIDES[1] for side in sides):
        raise PhaseguideError(
            f"--sizes {text!r} is not understood. Write sides from {SIDES[0]} to {SIDES[1]} px, for example 512,1024."
        )
    return sides
