"""Checksums tell one input from another; records are JSON that any program reads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import PhaseguideError
from phaseguide.micrographs import sha256_of_array, sha256_of_file, write_record


def test_sha256_of_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"metal" * 100_000)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"metal" * 100_000).hexdigest()
    with pytest.raises(PhaseguideError, match="gone"):
        sha256_of_file(tmp_path / "gone")


def test_sha256_of_array_depends_on_type_shape_and_values_only() -> None:
    values = np.arange(24, dtype=np.uint16).reshape(4, 6)
    digest = sha256_of_array(values)
    assert digest == sha256_of_array(values.astype(">u2"))
    assert digest == sha256_of_array(np.asfortranarray(values))
    assert digest == sha256_of_array(np.repeat(values, 2, axis=0)[::2])
    others = [values.reshape(6, 4), values.astype(np.uint32), values + np.uint16(1), values[::-1]]
    assert len({digest, *map(sha256_of_array, others)}) == 5
    assert len(sha256_of_array(np.float32(1))) == 64


def test_record_round_trip(tmp_path: Path) -> None:
    record = {
        "image": Path("a b.tif"),
        "phase": "Widmanstätten cementite",
        "asked": {"ferrite": np.float32(0.25), "open": float("nan")},
        "own": np.array([0.5, np.inf]),
        "pixels": np.int64(7),
        "constrained": np.bool_(True),
        "labels": {3, 1},
        "scale": None,
    }
    write_record(tmp_path / "a.json", record)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Widmanstätten" in text
    assert text.endswith("}\n")
    read = json.loads(text)
    assert list(read) == list(record)
    assert read == {
        "image": "a b.tif",
        "phase": "Widmanstätten cementite",
        "asked": {"ferrite": 0.25, "open": None},
        "own": [0.5, None],
        "pixels": 7,
        "constrained": True,
        "labels": [1, 3],
        "scale": None,
    }


def test_what_json_cannot_hold_is_a_programming_error_and_leaves_the_old_record(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_record(tmp_path / "a.json", {"new": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
