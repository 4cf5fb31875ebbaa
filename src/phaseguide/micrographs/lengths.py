"""Lengths as instruments, ImageJ and people write them, in micrometres; and round ones for scale bars."""

from __future__ import annotations

import math
import re
import unicodedata

from phaseguide.files.text_files import parse_number

_METRES = {"": 1e6, "centi": 1e4, "milli": 1e3, "micro": 1.0, "nano": 1e-3, "pico": 1e-6}
_UNITS = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "micron": 1.0, "nm": 1e-3, "pm": 1e-6,
    "å": 1e-4, "angstrom": 1e-4, "ångström": 1e-4, "in": 25400.0, "inch": 25400.0, "inche": 25400.0,
    "мм": 1e3, "мкм": 1.0, "нм": 1e-3,
    **{f"{prefix}meter": size for prefix, size in _METRES.items()},
    **{f"{prefix}metre": size for prefix, size in _METRES.items()},
}  # fmt: skip

_LENGTH = re.compile(r"([-+−]?[0-9][0-9.,]*(?:[eE][-+−]?[0-9]+)?)\s*(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_SPOILT = re.compile(r"[^a-z0-9\s]{1,3}m")


def unit_um(unit: str) -> float | None:
    r"""Return how many micrometres a unit of length has; None if it is none, such as ``pixel``.

    Both micro signs, signs that ImageJ escapes (``\u00B5m``) or a wrong encoding has spoilt, full names in American
    and British spelling and in the plural are understood, in capitals or not.
    """
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), unit)
    text = (
        unicodedata.normalize("NFC", text.strip().strip("\"'.").casefold())
        .replace("μ", "u")
        .replace("µ", "u")
    )
    if text in _UNITS:
        return _UNITS[text]
    if text.removesuffix("s") in _UNITS:
        return _UNITS[text.removesuffix("s")]
    # The only unit with a sign before its m that is no plain letter.
    return 1.0 if _SPOILT.fullmatch(text.replace("u", "~")) else None


def length_um(text: str) -> float | None:
    """Read ``"11.2 nm"`` or ``"0,25 µm"`` as micrometres; None if there is no number or no known unit."""
    match = _LENGTH.fullmatch(text.strip())
    unit = None if match is None else unit_um(match[2])
    if match is None or unit is None:
        return None
    try:
        return parse_number(match[1]) * unit
    except ValueError:
        return None


def scale_length(most_um: float) -> float:
    """Return the longest of 1, 2, 5, 10 ... micrometres, or such a part of one, that is not longer than this."""
    tens = 10.0 ** math.floor(math.log10(most_um) + 1e-9)
    return max(step for step in (tens, 2 * tens, 5 * tens) if step <= most_um * (1 + 1e-8))


def length_text(length_um: float) -> str:
    """Return ``20 µm``, or nm or mm where they are the shorter."""
    if length_um >= 1000:
        return f"{length_um / 1000:.4g} mm"
    return f"{length_um:.4g} µm" if length_um >= 1 else f"{1000 * length_um:.4g} nm"
