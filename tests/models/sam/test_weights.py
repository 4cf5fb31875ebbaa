"""Base weights on this computer: found in every place, read once, added by path, and missed with all ways out."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files import stamps
from phaseguide.models.sam import checksums
from phaseguide.models.sam import weights as bases
from phaseguide.models.sam.shapes import OFFICIAL
from weights_server import CONTENT, OFFICIAL_B, isolate

NAME, SHA = OFFICIAL_B.name, OFFICIAL_B.sha256


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    isolate(monkeypatch, folder)
    return folder


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listed() -> list[bases.BaseEntry]:
    *_, last = bases.listing()
    assert isinstance(last, Finished)
    return last.result


def remembered() -> set[str]:
    """Paths with a checksum, as another program would read them."""
    with closing(sqlite3.connect(checksums.index_path())) as table:
        return {path for (path,) in table.execute("SELECT path FROM checksums")}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose bytes were read for a checksum."""
    seen: list[Path] = []
    original = checksums.stamping

    def stamping(path: Path):  # type: ignore[no-untyped-def]
        seen.append(path)
        return original(path)

    monkeypatch.setattr(checksums, "stamping", stamping)
    return seen


def test_importing_needs_neither_torch_nor_requests() -> None:
    code = (
        "import sys, phaseguide.models.sam.weights, phaseguide.cli.models.weights\n"
        "print(*{'torch', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_missing_official_base_is_told_with_every_way_out(home: Path, data_dir: Path) -> None:
    with pytest.raises(ModelError) as caught:
        bases.find_official("vit_b")
    told = str(caught.value)
    for words in (
        NAME, "vit_b", SHA[:12], "phaseguide models base get vit_b", "phaseguide models base add FILE", "Offline",
        f"https://dl.fbaipublicfiles.com/segment_anything/{NAME}", str(data_dir / "bases"), "PHASEGUIDE_SAM_WEIGHTS",
        str(home / ".sam_models"), str(home / ".cache" / "torch" / "hub" / "checkpoints"), "micro-sam",
    ):  # fmt: skip
        assert words in told
    assert "\n" not in told


def test_a_missing_base_of_somebodys_own_is_told_without_a_download() -> None:
    with pytest.raises(ModelError, match="none of the official ones") as caught:
        bases.find_base("ab" * 32)
    assert "ab" * 32 in str(caught.value) and "base get" not in str(caught.value)
    assert "Ask whoever made the model" in str(caught.value) and "base add FILE" in str(caught.value)


@pytest.mark.parametrize("text", ["", "vit_b", "ab" * 31, "zz" * 32])
def test_what_is_no_checksum_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="64 hex digits"):
        bases.find_base(text)


def test_sizes_without_official_weights_are_refused() -> None:
    for size in ("vit_tiny", "huge"):
        with pytest.raises(ModelError, match=f"'{size}'.*vit_b, vit_l, vit_h"):
            bases.find_official(size)
        with pytest.raises(ModelError, match=f"'{size}'.*vit_b, vit_l, vit_h"):
            next(iter(bases.fetch_base(size)))


@pytest.mark.parametrize(
    "place",
    [
        ".sam_models/" + NAME, ".cache/torch/hub/checkpoints/" + NAME, ".cache/micro_sam/models/vit_b",
    ],
)  # fmt: skip
def test_other_programs_folders_are_looked_into_and_left_as_they_are(
    home: Path, data_dir: Path, place: str
) -> None:
    if sys.platform != "linux" and "micro_sam" in place:
        pytest.skip("its cache lies elsewhere on this system")
    file = put(home / place)
    assert bases.find_official("vit_b") == file
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_places_named_by_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, inside in (
        ("TORCH_HOME", f"hub/checkpoints/{NAME}"), ("MICROSAM_CACHEDIR", "models/vit_b"),
        ("XDG_CACHE_HOME", f"torch/hub/checkpoints/{NAME}"), ("PHASEGUIDE_SAM_WEIGHTS", "renamed.pth"),
    ):  # fmt: skip
        folder = tmp_path / variable
        file = put(folder / inside)
        with monkeypatch.context() as patch:
            patch.setenv(variable, str(folder))
            assert bases.find_official("vit_b") == file
    file = put(tmp_path / "one" / "weights")
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(file))
    assert bases.find_base(SHA.upper()) == file


def test_the_order_of_places(
    home: Path, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = put(home / ".cache" / "torch" / "hub" / "checkpoints" / NAME)
    assert bases.find_official("vit_b") == hub
    told = put(tmp_path / "told" / NAME)
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(told))
    found = []
    for file in (None, data_dir / "bases" / NAME, tmp_path / "added" / NAME):
        if file is not None:
            put(file)
        if file is not None and "added" in file.parts:
            bases.add_base(file)
        for other in (hub, told, data_dir / "bases" / NAME):  # nothing known, so that the order decides
            if other.is_file():
                os.utime(other, ns=(1, other.stat().st_mtime_ns + 1))
        found.append(bases.find_official("vit_b"))
    assert found == [told, data_dir / "bases" / NAME, tmp_path / "added" / NAME]


def test_a_file_is_read_once_and_again_after_it_changed(data_dir: Path, reads: list[Path]) -> None:
    file = put(data_dir / "bases" / "own.pth", b"one")
    assert bases.find_base(sha(b"one")) == file and reads == [file]
    checksums._taken.clear()  # as in the next process
    assert bases.find_base(sha(b"one")) == file and reads == [file]
    put(file, b"three")
    with pytest.raises(ModelError):
        bases.find_base(sha(b"one"))
    assert bases.find_base(sha(b"three")) == file and reads == [file, file]


def test_files_of_another_size_are_not_read_for_an_official_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    put(data_dir / "bases" / "own.pth", bytes(2_000_001))
    with pytest.raises(ModelError):
        bases.find_official("vit_b")
    assert reads == []


def test_a_checksum_mismatch_is_told(data_dir: Path) -> None:
    file = put(data_dir / "bases" / NAME, CONTENT[:-1])
    with pytest.raises(ModelError, match="checksum mismatch") as caught:
        bases.find_official("vit_b")
    assert str(file) in str(caught.value) and sha(CONTENT[:-1])[:12] in str(caught.value)


def test_added_files_stay_where_they_are_and_are_found_by_any_checksum(
    tmp_path: Path, data_dir: Path
) -> None:
    file = put(tmp_path / "my weights" / "fine tuned.pth", b"own")
    entry = bases.add_base(file, "vit_l")
    assert (entry.size, entry.sha256, entry.official, entry.path) == ("vit_l", sha(b"own"), False, file)
    assert bases.find_base(sha(b"own")) == file
    assert not list(data_dir.rglob("*.pth"))
    again = bases.add_base(file, "vit_l")
    assert again == entry and len(checksums.read_index().added) == 1
    assert bases.forget_base(file) == file and file.is_file()
    with pytest.raises(ModelError):
        bases.find_base(sha(b"own"))
    with pytest.raises(ModelError, match=r"not among.*Added: none"):
        bases.forget_base(file)


def test_adding_tells_progress_in_bytes_and_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "_BLOCK", 1000)
    monkeypatch.setattr(stamps, "_TELL_S", 0.0)
    *events, last = bases.adding(put(tmp_path / NAME, b"x" * 5000))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [step.done for step in steps] == [0, 1000, 2000, 3000, 4000, 5000]
    assert {step.total for step in steps} == {5000} and NAME in steps[0].stage
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "checksum mismatch" in notice.message and "vit_b" in notice.message
    assert isinstance(last, Finished) and last.result.note == notice.message
    assert last.result.size == "vit_b" and not last.result.official


def test_adding_an_official_file_knows_its_size(tmp_path: Path) -> None:
    file = put(tmp_path / "renamed.pt")
    entry = bases.add_base(file)
    assert (entry.size, entry.official, entry.note) == ("vit_b", True, "")
    assert bases.find_official("vit_b") == file
    with pytest.raises(ModelError, match="official file of vit_b, not of vit_h"):
        bases.add_base(file, "vit_h")
    with pytest.raises(ModelError, match="no Segment Anything encoder 'huge'"):
        bases.add_base(file, "huge")


def test_what_cannot_be_base_weights_is_refused_before_it_is_read(tmp_path: Path, reads: list[Path]) -> None:
    for path, words in (
        (tmp_path / "absent.pth", "there is no such file"), (tmp_path, "is a folder"),
        (put(tmp_path / "empty.pth", b""), "is empty"),
        (put(tmp_path / "model.safetensors"), r"end in \.pth or \.pt.*phaseguide models add"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words) as caught:
            bases.add_base(path)
        assert str(path) in str(caught.value)
    assert reads == [] and checksums.read_index().added == {}


@pytest.mark.parametrize("content", [b"", b"no database", bytes(5000), b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_index_is_made_anew(tmp_path: Path, data_dir: Path, content: bytes) -> None:
    file = put(data_dir / "bases" / NAME)
    put(checksums.index_path(), content)
    assert bases.find_official("vit_b") == file and remembered() == {str(file)}
    kept = checksums.index_path().with_name("index.sqlite.damaged")
    assert kept.exists() == bool(content) and (not content or kept.read_bytes() == content)
    put(checksums.index_path(), content)
    other = put(tmp_path / "own.pth", b"own")
    bases.add_base(other)
    assert bases.find_base(sha(b"own")) == other


def test_the_index_of_an_older_version_is_taken_over_once(
    tmp_path: Path, data_dir: Path, reads: list[Path]
) -> None:
    file, own = put(data_dir / "bases" / NAME), put(tmp_path / "own.pth", b"own")
    about = file.stat()
    old = {
        "format": 1,
        "added": {str(own): {"sha256": sha(b"own"), "size": "vit_l"}},
        "checksums": {str(file): {"bytes": about.st_size, "mtime_ns": about.st_mtime_ns, "sha256": SHA}},
    }
    text = put(checksums.json_path(), json.dumps(old).encode()).read_text()
    assert bases.find_official("vit_b") == file and reads == []
    assert {path: added.size for path, added in checksums.read_index().added.items()} == {str(own): "vit_l"}
    bases.forget_base(own)
    assert checksums.read_index().added == {}, "not taken over again"
    assert checksums.json_path().read_text() == text, "an older version still finds its own"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that refuses its owner")
def test_an_index_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, data_dir: Path, reads: list[Path]
) -> None:
    file, own = put(data_dir / "bases" / NAME), put(tmp_path / "own.pth", b"own")
    bases.add_base(own)
    assert bases.find_official("vit_b") == file and reads == [own, file]
    checksums._taken.clear()
    for path in (checksums.index_path(), file.parent):
        path.chmod(0o500)
    try:
        assert bases.find_official("vit_b") == file and bases.find_base(sha(b"own")) == own
        assert reads == [own, file]
    finally:
        file.parent.chmod(0o700)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that refuses its owner")
def test_a_folder_that_cannot_be_written_does_not_stop_reading(
    tmp_path: Path, data_dir: Path, reads: list[Path]
) -> None:
    file = put(data_dir / "bases" / NAME)
    other = put(tmp_path / "own.pth", b"own")
    file.parent.chmod(0o500)
    try:
        assert bases.find_official("vit_b") == file
        assert bases.find_official("vit_b") == file and reads == [file]
        with pytest.raises(PhaseguideError, match="cannot be written"):
            bases.add_base(other)
    finally:
        file.parent.chmod(0o700)


def test_an_index_that_cannot_be_written_does_not_stop_reading(
    tmp_path: Path, data_dir: Path, reads: list[Path]
) -> None:
    """As above where the system has no such folders: something else lies in the place of the index."""
    file = put(data_dir / "bases" / NAME)
    checksums.index_path().mkdir()
    assert bases.find_official("vit_b") == file
    assert bases.find_official("vit_b") == file and reads == [file]
    with pytest.raises(PhaseguideError, match=r"index\.sqlite: cannot be written"):
        bases.add_base(put(tmp_path / "own.pth", b"own"))


def test_the_list_tells_what_is_there_what_is_gone_and_what_has_changed(
    tmp_path: Path, data_dir: Path
) -> None:
    assert [(e.size, e.path, e.problem, e.note) for e in listed()] == [
        (size, None, "", "") for size in OFFICIAL
    ]
    official = put(data_dir / "bases" / NAME)
    put(data_dir / "bases" / f"{OFFICIAL['vit_l'].name}.part", bytes(3_000_000))
    own, gone, changed = (put(tmp_path / f"{n}.pth", n.encode()) for n in ("own", "gone", "changed"))
    for file in (own, gone, changed):
        bases.add_base(file, "vit_h")
    gone.unlink()
    put(changed, b"something else")
    entries = {entry.name: entry for entry in listed()}
    assert set(entries) == {o.name for o in OFFICIAL.values()} | {"own.pth", "gone.pth", "changed.pth"}
    assert entries[NAME].path == official and entries[NAME].bytes == len(CONTENT)
    assert (
        "3 of 1250 MB are downloaded; go on with: phaseguide models base get vit_l"
        in entries[OFFICIAL["vit_l"].name].note
    )
    assert (entries["own.pth"].path, entries["own.pth"].problem) == (own, "")
    assert "is gone" in entries["gone.pth"].problem and entries["gone.pth"].path is None
    assert "has changed" in entries["changed.pth"].problem and entries["changed.pth"].sha256 == sha(
        b"changed"
    )
    with pytest.raises(ModelError, match=r"gone\.pth was added with this checksum, and has changed or gone"):
        bases.find_base(sha(b"gone"))


def test_a_file_that_cannot_be_read_does_not_stop_the_search(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = put(data_dir / "bases" / "a.pth"), put(data_dir / "bases" / "b.pth", b"good")
    original = stamps.open_plain

    def refuse(path: Path) -> BinaryIO:
        if path == bad:
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(stamps, "open_plain", refuse)
    assert bases.find_base(sha(b"good")) == good
    with pytest.raises(ModelError, match=r"a\.pth: cannot be read \(Permission denied\)"):
        bases.find_official("vit_b")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "",
        "[]",
        "null",
        '{"added": [], "checksums": 5}',
        '{"added": {"a": 1}, "checksums": {}}',
        '{"added": {}, "checksums": {}, "added": {}}',
        '{"added": {"x": {"sha256": NaN, "size": ""}}, "checksums": {}}',
        "\udcff",
    ],
)
def test_a_damaged_index_of_an_older_version_is_left_alone(data_dir: Path, text: str) -> None:
    file = put(data_dir / "bases" / NAME)
    put(checksums.json_path(), text.encode("utf-8", "surrogateescape"))
    assert listed()[0].path == file and remembered() == {str(file)}


def test_entries_of_an_index_that_cannot_be_are_left_out(data_dir: Path, tmp_path: Path) -> None:
    good, sound = put(tmp_path / "good.pth"), {"sha256": SHA, "size": "vit_b"}
    added = {
        str(good): sound,
        "relative.pth": sound,
        "../up.pth": sound,
        str(tmp_path / "a.pth"): {**sound, "size": "[bold]"},
        str(tmp_path / "b.pth"): {**sound, "sha256": "../x"},
        str(tmp_path / "c.pth"): {**sound, "more": 1},
    }
    stamps = {str(good): {"bytes": True, "mtime_ns": 1, "sha256": SHA}}
    put(checksums.json_path(), json.dumps({"added": added, "checksums": stamps}).encode())
    index = checksums.read_index()
    assert list(index.added) == [str(good)] and index.stamps == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_in_the_place_of_weights_and_index(data_dir: Path) -> None:
    (data_dir / "bases").mkdir(parents=True)
    os.mkfifo(data_dir / "bases" / "a.pth")
    os.mkfifo(checksums.index_path())
    os.mkfifo(checksums.json_path())
    with pytest.raises(ModelError, match="were not found"):
        bases.find_official("vit_b")


def test_what_an_index_claims_is_read_again_before_it_is_used(data_dir: Path) -> None:
    """The index says of another file that it is the official one."""
    wrong = put(data_dir / "bases" / "a.pth", b"something else")
    about = wrong.stat()
    stamp = {"bytes": about.st_size, "mtime_ns": about.st_mtime_ns, "sha256": SHA}
    put(checksums.json_path(), json.dumps({"added": {}, "checksums": {str(wrong): stamp}}).encode())
    with pytest.raises(ModelError, match="were not found"):
        bases.find_read_anew(SHA)
    right = put(data_dir / "bases" / NAME)
    assert bases.find_read_anew(SHA) == right
    assert bases.find_official("vit_b") == right
