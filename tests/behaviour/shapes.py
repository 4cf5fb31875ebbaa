"""What a JSON value is made of: its keys, nested, and the types below them, without the values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

KINDS = {str: "text", bool: "yes or no", int: "whole number", float: "number", type(None): "null"}

CHECKSUM = re.compile(r"[0-9a-f]{64}")
"""A key that tells contents apart; it depends on how a library writes a file."""


def shape_of(value: Any) -> dict[str, str]:
    """Return the types by path: ``{"phases[].name": "text", ...}``; several types of a path are joined.

    Parameters
    ----------
    value : JSON value

    Returns
    -------
    dict of str to str
        In the order in which the paths first come.
    """
    found: dict[str, set[str]] = {}
    for path, kind in _parts(value, ""):
        found.setdefault(path, set()).add(kind)
    return {path: " | ".join(sorted(kinds)) for path, kinds in found.items()}


def _parts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield path, "object" if value else "empty object"
        for key, part in value.items():
            if CHECKSUM.fullmatch(key):
                key = "<SHA-256>"
            yield from _parts(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, "list" if value else "empty list"
        for part in value:
            yield from _parts(part, f"{path}[]")
    else:
        yield path, KINDS[type(value)]
