"""Texts of somebody else: shown as they are, and nothing in them acts."""

from __future__ import annotations

import json
import os
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from phaseguide.json_files import json_bytes, parse_json
from phaseguide.plain_text import readable, visible

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def test_bytes_of_a_name_that_are_no_text_are_written_by_their_numbers() -> None:
    assert readable(os.fsdecode(b"Gef\xfcge.tif")) == "Gef\\xfcge.tif"
    assert readable("Gefüge [bse] ∅.tif") == "Gefüge [bse] ∅.tif"
    assert readable("x\ud83d") == "x\\ud83d"


def test_what_acts_on_a_terminal_is_escaped() -> None:
    assert visible("\x1b[31mred\x07\r\x9b") == "\\x1b[31mred\\x07\\r\\x9b"
    assert visible("evil\u202efdp.exe") == "evil\\u202efdp.exe"
    assert visible("two\nlines\tand é µ ∅ 相") == "two\nlines\tand é µ ∅ 相"


@given(ANY_TEXT)
def test_every_text_can_be_printed_and_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert all(unicodedata.category(c) != "Cc" or c in "\n\t" for c in shown)
    assert parse_json(json_bytes({text: [text]})) == {readable(text): [readable(text)]}
    assert json.loads(json_bytes([text], indent=None)) == [readable(text)]
