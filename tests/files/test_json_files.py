"""JSON of somebody else: too deep, too large, not finite or doubled is a reason in words, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.files.json_files import parse_json, read_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)
def test_what_json_writes_is_read_back(value: object) -> None:
    import json

    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "nested"), ("[" * 70 + "]" * 70, "nested"), ('{"a":' * 70 + "1" + "}" * 70, "nested"),
        ("NaN", "finite"), ("[Infinity]", "finite"), ('{"a": -1e999}', "finite"), ("9" * 5000, "measure"),
        (f"[{2**63}]", "measure"), (f"{-(10**400)}", "measure"),
        ('{"id": 1, "id": 2}', "twice"), ("{", "property name"), (b"\x81", "not text"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_a_byte_order_mark_and_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    with pytest.raises(ValueError, match="larger"):
        read_json(tmp_path / "a.json", most_bytes=5)
