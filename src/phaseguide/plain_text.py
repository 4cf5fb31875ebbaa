"""Names and notes of somebody else as plain text: nothing in them acts on a terminal, a file or a page."""

from __future__ import annotations

import re
import unicodedata

_NO_UNICODE = re.compile("[\ud800-\udfff]")
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def readable(text: str) -> str:
    """Return a text that is Unicode: bytes of a file name that are none are written by their numbers."""
    return _NO_UNICODE.sub(lambda found: _told(found[0]), text)


def visible(text: str) -> str:
    """Return a text that can be printed: what would act on a terminal, or turn the text round, is escaped.

    Line breaks and tabs stay.
    """
    text = readable(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if _acts(c) else c for c in text)


def _told(surrogate: str) -> str:
    return f"\\x{ord(surrogate) - 0xDC00:02x}" if "\udc80" <= surrogate <= "\udcff" else _escaped(surrogate)


def _acts(character: str) -> bool:
    turns = unicodedata.bidirectional(character) in _TURNS
    return turns or (unicodedata.category(character) in ("Cc", "Zl", "Zp") and character not in "\n\t")


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
