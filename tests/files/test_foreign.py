"""Paths and names that come from files: only what stays inside the folder is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.files.foreign import UnsafePathError, is_safe_name, open_plain, path_inside, read_plain

HOSTILE = [
    "", ".", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/./b", "a/", "~\0", "a\nb", "C:/a", "C:a",
    "\\\\host\\share", "a\\b", "nul", "edits/CON.tif", None, 3, ["a"], "a:stream",
]  # fmt: skip


@pytest.mark.parametrize("told", HOSTILE, ids=repr)
def test_what_leaves_the_folder_is_refused(tmp_path: Path, told: object) -> None:
    with pytest.raises(UnsafePathError, match="Nothing was touched"):
        path_inside(tmp_path, told)


@given(st.text(max_size=40))
def test_whatever_is_let_through_is_inside(tmp_path_factory: pytest.TempPathFactory, told: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        path = path_inside(folder, told)
    except UnsafePathError:
        return
    assert path.resolve().is_relative_to(folder.resolve()) and path != folder


def test_a_plain_file_and_a_new_one_are_let_through(tmp_path: Path) -> None:
    (tmp_path / "edits").mkdir()
    (tmp_path / "edits" / "a b_ü.tif").write_bytes(b"x")
    assert path_inside(tmp_path, "edits/a b_ü.tif").read_bytes() == b"x"
    assert path_inside(tmp_path, "new/b.tif") == tmp_path / "new" / "b.tif"


def test_links_that_lead_out_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "thesis").write_text("x")
    (home / "file").symlink_to(outside / "thesis")
    (home / "folder").symlink_to(outside)
    (home / "loop").symlink_to(home / "loop")
    (home / "sub").mkdir()
    os.mkfifo(home / "pipe")
    for told in ("file", "folder/thesis", "folder/new", "loop", "sub", "pipe"):
        with pytest.raises(UnsafePathError):
            path_inside(home, told)


def test_a_pipe_is_refused_at_once_and_a_large_file_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a pipe, a socket or a device"):
        open_plain(tmp_path / "pipe")
    with pytest.raises(OSError, match="folder"):
        open_plain(tmp_path)
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match="larger"):
        read_plain(tmp_path / "big", 10)
    assert read_plain(tmp_path / "big", 11) == b"x" * 11


@pytest.mark.parametrize("name", ["a", "steel0", "Heat-4711_b.2", "x" * 120])
def test_safe_names(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "a.", "a/b", "a b", "ü", "nul", "COM1.tif", "x" * 121, 3, "a\n"]
)
def test_unsafe_names(name: object) -> None:
    assert not is_safe_name(name)
