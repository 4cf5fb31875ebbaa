"""Checksums tell one input from another; records are JSON that any program reads."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import OutputError, PhaseguideError
from phaseguide.micrographs import sha256_of_array, sha256_of_file, write_record
from phaseguide.micrographs.records import record_of_another, result_record, why_kept, write_result


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


def write_parts(folder: Path, stem: str, data: bytes, **options: bool) -> Path:
    labels = folder / f"{stem}_labels.tif"
    write_result(folder / f"{stem}.json", {"labels": labels.name, "model": {}}, {labels: data}, **options)
    return labels


def test_a_record_tells_its_own_map_from_another(tmp_path: Path) -> None:
    a, b = write_parts(tmp_path, "a", b"map of a"), write_parts(tmp_path, "b", b"map of b")
    assert result_record(a) == tmp_path / "a.json" and record_of_another(a) is None
    a.write_bytes(b.read_bytes())
    assert result_record(a) is None and record_of_another(a) == tmp_path / "a.json"
    assert (
        result_record(tmp_path / "c_labels.tif") is None
        and record_of_another(tmp_path / "c_labels.tif") is None
    )


def test_a_record_that_somebody_wrote_into_stays(tmp_path: Path) -> None:
    write_parts(tmp_path, "a", b"1")
    write_parts(tmp_path, "a", b"2")  # as it was written, it may go
    record = tmp_path / "a.json"
    annotated = record.read_text().replace('"model": {}', '"model": {}, "seen by": "Maria"')
    record.write_text(annotated)
    with pytest.raises(OutputError, match=r"a\.json: was changed since"):
        write_parts(tmp_path, "a", b"3")
    assert record.read_text() == annotated and (tmp_path / "a_labels.tif").read_bytes() == b"2"


def test_records_of_earlier_versions_and_foreign_ones(tmp_path: Path) -> None:
    labels, record = tmp_path / "a_labels.tif", tmp_path / "a.json"
    labels.write_bytes(b"map")
    record.write_text('{"labels": "a_labels.tif", "model": {}}')
    assert result_record(labels) == record and why_kept(labels, record) == ""
    for text in (
        '{"labels": "a_labels.tif"}',
        '{"labels": 1, "model": 1}',
        "[" * 10_000,
        "",
        '{"parts": [], "model": 1}',
    ):
        record.write_text(text)
        assert result_record(labels) is None
        assert "stays" in why_kept(labels, record) and "stays" in why_kept(record, record)


def test_a_new_result_takes_the_whole_place_of_the_old_one(tmp_path: Path) -> None:
    labels = write_parts(tmp_path, "a", b"1")
    overlay, painted = tmp_path / "a_overlay.png", tmp_path / "a_notes.png"
    parts = {labels: b"2", overlay: b"picture", painted: b"drawn"}
    write_result(tmp_path / "a.json", {"labels": labels.name, "model": {}}, parts)
    painted.write_bytes(b"drawn over by hand")
    write_parts(tmp_path, "a", b"3")
    assert not overlay.exists(), "a picture of the old result beside the new one"
    assert painted.read_bytes() == b"drawn over by hand" and labels.read_bytes() == b"3"
    with pytest.raises(OutputError, match="exists already"):
        write_parts(tmp_path, "a", b"4", replace=False)
    labels.write_bytes(b"painted")
    with pytest.raises(OutputError, match="changed or replaced since"):
        write_parts(tmp_path, "a", b"5")
    assert labels.read_bytes() == b"painted" and result_record(labels) is None


def test_a_record_of_somebody_else_makes_nothing_go(tmp_path: Path) -> None:
    mine = tmp_path / "micrograph.tif"
    mine.write_bytes(b"precious")
    told = {"model": {}, "labels": "a_labels.tif", "parts": {"micrograph.tif": sha256_of_file(mine)}}
    (tmp_path / "a.json").write_text(json.dumps(told))
    write_parts(tmp_path, "a", b"1")
    assert mine.read_bytes() == b"precious"


def test_a_name_that_is_no_text_is_recorded_readably(tmp_path: Path) -> None:
    labels = write_parts(tmp_path, os.fsdecode(b"Gef\xfcge"), b"map")
    assert result_record(labels) is not None
    assert (
        json.loads(labels.with_name(os.fsdecode(b"Gef\xfcge.json")).read_bytes())["labels"]
        == "Gef\\xfcge_labels.tif"
    )
