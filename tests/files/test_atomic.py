"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from phaseguide.errors import OutputError, PhaseguideError
from phaseguide.files import atomic


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


OLD = {"a_labels.tif": b"old map", "a_overlay.png": b"old picture", "a.json": b"old record"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_old(folder: Path) -> dict[Path, bytes]:
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    return {folder / name: b"new" for name in OLD}


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    files = {tmp_path / "new" / name: b"1" for name in OLD}
    atomic.write_together(files)
    assert files_of(tmp_path / "new") == dict.fromkeys(OLD, b"1")
    with pytest.raises(OutputError, match="exists already"):
        atomic.write_together(dict.fromkeys(files, b"2"))
    assert files_of(tmp_path / "new") == dict.fromkeys(OLD, b"1")
    gone = tmp_path / "new" / "a_overlay.png"
    atomic.write_together({path: b"2" for path in files if path != gone}, lambda _: "", without=[gone])
    assert files_of(tmp_path / "new") == {"a_labels.tif": b"2", "a.json": b"2"}


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_whatever_step_fails_all_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, links: bool
) -> None:
    files = {**write_old(tmp_path), tmp_path / "fresh": b"new"}
    steps = iter(range(100))

    def failing(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                no_space()
            return function(*arguments, **options)

        return call

    replace, link = os.replace, os.link

    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", failing(link) if links else no_links)
    monkeypatch.setattr(os, "fsync", failing(lambda _: None))
    monkeypatch.setattr(os, "replace", failing(replace))
    monkeypatch.setattr(atomic.shutil, "copy2", failing(shutil.copy2))
    try:
        atomic.write_together(files, lambda _: "")
    except PhaseguideError:
        assert files_of(tmp_path) == OLD
    else:
        assert files_of(tmp_path) == {**dict.fromkeys(OLD, b"new"), "fresh": b"new"}


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = tmp_path / "b.json"
    fsync = os.fsync

    def appears(handle: int) -> None:
        late.write_bytes(b"somebody's")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", appears)
    with pytest.raises(OutputError, match=r"b\.json"):
        atomic.write_together({tmp_path / "a": b"1", late: b"2"})
    assert files_of(tmp_path) == {"b.json": b"somebody's"}


@pytest.mark.parametrize("links", [True, False])
def test_a_free_name_is_taken_only_if_it_is_still_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    target = tmp_path / "a"
    monkeypatch.setattr(atomic, "_copy_beside", lambda path, _: target.write_bytes(b"theirs") and None)
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: no_space())
    with pytest.raises(OutputError, match="appeared while"):
        atomic.write_together({target: b"ours"})
    assert files_of(tmp_path) == {"a": b"theirs"}


def test_what_a_killed_program_left_is_swept_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".phaseguide-old.tif", 2), (".phaseguide-new.tif", 0), (".other", 2)):
        (tmp_path / name).write_bytes(b"")
        then = (tmp_path / name).stat().st_mtime - age * 24 * 3600
        os.utime(tmp_path / name, (then, then))
    atomic.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".other", ".phaseguide-new.tif"]
    atomic.sweep(tmp_path / "nowhere")


def test_the_advice_fits_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PhaseguideError, match=r"A file is in the place of a folder"):
        atomic.check_place(tmp_path / "file" / "a.tif")
    assert "Free some space" in str(atomic.cannot_write(tmp_path, OSError(errno.ENOSPC, "full")))
    assert "may write to" in str(atomic.cannot_write(tmp_path, OSError(errno.EACCES, "no")))
