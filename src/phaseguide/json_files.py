"""JSON that somebody else may have written: bounded in size, nesting and numbers before anything uses it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from phaseguide.files import read_plain
from phaseguide.text_files import decode_text

MOST_BYTES = 64 * 1024 * 1024
MOST_NESTING = 64


def parse_json(text: str | bytes) -> Any:
    """Return the value that a JSON text holds.

    Stricter than `json.loads`: every number is finite, no object has a key twice, and lists and objects are
    nested at most 64 deep, so that code which walks through the value needs no care of its own.

    Parameters
    ----------
    text : str or bytes
        Bytes as `decode_text` takes them: UTF-8 or UTF-16, with or without a byte order mark.

    Raises
    ------
    ValueError
        Anything else, with a reason that fits into a sentence.
    """
    if isinstance(text, bytes):
        text = decode_text(text)
    try:
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_without_doubles
        )
    except RecursionError as error:
        raise ValueError("lists or objects in it are nested too deep") from error
    level, depth = [value], 0
    while level := [item for outer in level if isinstance(outer, (dict, list)) for item in _items(outer)]:
        depth += 1
        if depth > MOST_NESTING:
            raise ValueError(f"lists or objects in it are nested over {MOST_NESTING} deep")
    return value


def read_json(path: str | Path, most_bytes: int = MOST_BYTES) -> Any:
    """Return the value in a JSON file; limits as in `parse_json`.

    Parameters
    ----------
    path : str or Path
    most_bytes : int
        A larger file is refused.

    Raises
    ------
    OSError
        It cannot be read, or is no plain file.
    ValueError
        It is too large, or no sound JSON; with a reason that fits into a sentence.
    """
    return parse_json(read_plain(path, most_bytes))


def _items(outer: dict[str, Any] | list[Any]) -> list[Any]:
    return list(outer.values()) if isinstance(outer, dict) else outer


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} in it is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} in it is not a finite number")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {double[:40]!r} stands in it twice")
    return value
