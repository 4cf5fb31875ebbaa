"""JSON that somebody else may have written, bounded before anything uses it; and JSON to be written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from phaseguide.files import read_plain
from phaseguide.plain_text import readable
from phaseguide.text_files import decode_text

MOST_BYTES = 64 * 1024 * 1024
MOST_NESTING = 64

_BEYOND = 2**63
_MANY_DIGITS = re.compile("(?<![.0-9])[0-9]{19}")  # fewer fit into 64 bits; those of a fraction do not matter


def parse_json(text: str | bytes) -> Any:
    """Return the value that a JSON text holds.

    Stricter than `json.loads`: every number is finite and every whole one fits into 64 bits, no object has a key
    twice, and lists and objects are nested at most 64 deep, so that code which walks through the value, or computes
    with it, needs no care of its own. Bytes are as `decode_text` takes them. `ValueError` has a reason that fits into
    a sentence.
    """
    if isinstance(text, bytes):
        text = decode_text(text)
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_moderate if _MANY_DIGITS.search(text) else int,
            object_pairs_hook=_without_doubles,
        )
    except RecursionError as error:
        raise ValueError("lists or objects in it are nested too deep") from error
    level, depth = [value], 0
    while level := [
        item
        for outer in level
        if isinstance(outer, (dict, list))
        for item in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        if depth > MOST_NESTING:
            raise ValueError(f"lists or objects in it are nested over {MOST_NESTING} deep")
    return value


def read_json(path: str | Path, most_bytes: int = MOST_BYTES) -> Any:
    """Return the value in a JSON file; limits as in `parse_json`.

    `OSError` as `open_plain`; `ValueError`, in words, if it is too large, or no sound JSON.
    """
    return parse_json(read_plain(path, most_bytes))


def json_bytes(value: Any, indent: int | None = 2) -> bytes:
    """Return a value as JSON in UTF-8.

    It succeeds whatever its texts hold: bytes of a file name that are no text become a readable escape.
    """
    text = json.dumps(_readable(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    return [_readable(item) for item in value] if isinstance(value, (list, tuple)) else value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} in it is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} in it is not a finite number")
    return value


def _moderate(text: str) -> int:
    # The length first: Python refuses to read thousands of digits, in words about Python.
    value = int(text) if len(text) < 25 else _BEYOND
    if not -_BEYOND <= value < _BEYOND:
        raise ValueError(f"{text[:20]}... in it is a number beyond all measure")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {double[:40]!r} stands in it twice")
    return value
