"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from phaseguide import atomic
from phaseguide.errors import PhaseguideError


def no_space(*_args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "new" / "record.json"
    atomic.write_text(target, "ä\n")
    atomic.write_text(target, "ö\n")
    assert target.read_bytes() == "ö\n".encode()
    assert os.listdir(target.parent) == ["record.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    atomic.write_text(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    atomic.write_text(tmp_path / "new", "again")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_disk_full_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(PhaseguideError, match=r"model\.safetensors.*cannot be written.*space") as caught:
        atomic.write_bytes(target, b"new")
    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_disk_full_while_the_body_writes(tmp_path: Path) -> None:
    target = tmp_path / "labels.tif"
    with pytest.raises(PhaseguideError, match=r"labels\.tif"), atomic.replacing(target) as temporary:
        temporary.write_bytes(b"half")
        no_space()
    assert os.listdir(tmp_path) == []


def test_any_other_error_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic.replacing(tmp_path / "x.bin"):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []


def test_a_folder_or_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(PhaseguideError, match="taken"):
        atomic.write_bytes(tmp_path / "taken", b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(PhaseguideError, match="file"):
        atomic.write_bytes(tmp_path / "file" / "below.json", b"")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="needs POSIX permissions and a user who is not root"
)
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PhaseguideError, match="may write"):
        atomic.write_bytes(tmp_path / "x.bin", b"")


def test_unwritable_folder_whoever_runs_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(atomic.tempfile, "mkstemp", denied)
    with pytest.raises(PhaseguideError, match=r"x\.bin.*Permission denied"):
        atomic.write_bytes(tmp_path / "x.bin", b"")


def test_the_check_leaves_nothing_and_touches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.safetensors"
    atomic.check_writable(target)
    assert os.listdir(target.parent) == []
    target.write_bytes(b"old")
    atomic.check_writable(target)
    assert target.read_bytes() == b"old" and os.listdir(target.parent) == [target.name]


def test_the_check_fails_as_writing_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(PhaseguideError, match="taken: cannot be written"):
        atomic.check_writable(tmp_path / "taken")
    (tmp_path / "file").write_text("")
    with pytest.raises(PhaseguideError, match=r"below\.json: cannot be written"):
        atomic.check_writable(tmp_path / "file" / "below.json")
    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(PhaseguideError, match=r"x\.json: cannot be written .*space"):
        atomic.check_writable(tmp_path / "x.json")
    assert sorted(os.listdir(tmp_path)) == ["file", "taken"]
