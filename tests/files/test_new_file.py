"""New files: complete or not there, never over another one, and nothing left by programs that were killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.files import new_file
from phaseguide.files.new_file import PART_SUFFIX, creating, move_new, sweep_parts, write_new
from phaseguide.models import zoo
from tiny_models import tiny_model

needs_locks = pytest.mark.skipif(os.name != "posix", reason="needs locks that go with their process")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "steel.safetensors"


def killed_in_mid_write(target: Path) -> None:
    """Let another program be killed while it writes a file."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom phaseguide.files.new_file import creating\n"
        "with creating(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half')\n    print('half', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)


@needs_locks
def test_a_killed_import_holds_no_name_and_is_not_listed(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    folder = zoo.user_model_folder()
    killed_in_mid_write(folder / "steel.safetensors")
    (part,) = folder.iterdir()
    assert part.name.startswith(".steel-") and part.read_bytes() == b"half"
    assert [entry.name for entry in zoo.list_models() if entry.origin == "user"] == []
    assert not part.exists(), "what nobody writes any more is swept"
    killed_in_mid_write(folder / "steel.safetensors")
    entry = zoo.add_model(model, "steel")
    assert entry.path.read_bytes() == model.read_bytes()
    assert list(folder.iterdir()) == [entry.path]


@needs_locks
def test_what_is_being_written_is_not_swept(target: Path) -> None:
    with creating(target) as part:
        sweep_parts(target.parent)
        with pytest.raises(ModelError), creating(target) as other:  # another program, a little faster
            other.write_bytes(b"theirs")
            write_new(target, b"ours")
        part.write_bytes(b"mine")
        target.unlink()
    assert target.read_bytes() == b"mine" and list(target.parent.iterdir()) == [target]


def test_only_what_this_program_left_is_swept(tmp_path: Path) -> None:
    mine = [".a-0123abcd", f"a-0123abcd{PART_SUFFIX}", f".a{PART_SUFFIX}", ".a-0123abcd.safetensors"]
    for name in mine:
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / f".b-0123abcd{PART_SUFFIX}").mkdir()
    (tmp_path / f".c-0123abcd{PART_SUFFIX}").symlink_to(tmp_path / mine[0])
    before = sorted(tmp_path.iterdir())
    sweep_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    sweep_parts(tmp_path / "nowhere")


def test_a_name_that_is_taken_meanwhile_stays_with_whoever_took_it(target: Path) -> None:
    with pytest.raises(ModelError, match="there is a file of that name"), creating(target) as part:
        part.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and list(target.parent.iterdir()) == [target]


def test_links_are_taken_names_and_are_not_followed(target: Path, tmp_path: Path) -> None:
    target.parent.mkdir()
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="there is a file of that name"):
        write_new(target, b"x")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows renames without a second name")
def test_disks_without_links(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_new(target, b"mine")
    assert target.read_bytes() == b"mine"
    moved = target.with_name("moved.safetensors")
    move_new(target, moved)
    assert list(target.parent.iterdir()) == [moved]
    with pytest.raises(ModelError, match="there is a file of that name"), creating(target) as part:
        part.write_bytes(b"x")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"


def test_a_disk_that_is_full_is_told_and_leaves_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(new_file.os, "fsync", full)
    with pytest.raises(PhaseguideError, match=r"steel\.safetensors: cannot be written \(No space"):
        write_new(target, b"x")
    assert not list(target.parent.iterdir())


def test_permissions_are_those_of_any_new_file(target: Path) -> None:
    write_new(target, b"x")
    other = target.with_name("other")
    other.write_bytes(b"x")
    assert target.stat().st_mode == other.stat().st_mode
