"""Downloading base weights from a server on this computer: whole or not at all, and never from the start twice."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files import download
from phaseguide.models.sam import checksums
from phaseguide.models.sam.download import check_address
from phaseguide.models.sam.weights import fetch_base, find_official
from weights_server import CONTENT, OFFICIAL_B, Server, isolate, serving, wait_until

NAME = OFFICIAL_B.name


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(download, "CHUNK", 10_000)
    monkeypatch.setattr(download, "TELL_S", 0.01)
    monkeypatch.setattr(download, "WAIT_S", 0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture
def target(data_dir: Path) -> Path:
    return data_dir / "bases" / NAME


@pytest.fixture
def part(target: Path) -> Path:
    return target.with_name(f"{NAME}.part")


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def fetch(server: Server) -> tuple[Path, list[str], list[Progress]]:
    """Result, notices and progress of a download."""
    *events, last = fetch_base("vit_b", server.address)
    assert isinstance(last, Finished)
    return (
        last.result,
        [event.message for event in events if isinstance(event, Notice)],
        [event for event in events if isinstance(event, Progress)],
    )


def refused(server: Server, *words: str) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(server)
    told = str(caught.value)
    for word in (*words, "Offline: get https://dl.fbaipublicfiles.com", NAME, "PHASEGUIDE_SAM_WEIGHTS"):
        assert word in told, told
    assert "\n" not in told
    return told


def test_a_download_is_verified_named_and_remembered(
    server: Server, target: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pause_s = 0.005
    path, notices, steps = fetch(server)
    assert path == target and target.read_bytes() == CONTENT and notices == [] and not part.exists()
    assert server.asked == [(f"/{NAME}", None)]
    moving = [step for step in steps if step.stage == f"Downloading {NAME}"]
    assert len({step.done for step in moving}) > 3 and moving[-1].total == len(CONTENT)
    assert [step.done for step in moving] == sorted(step.done for step in moving)
    monkeypatch.setattr(checksums, "stamping", None)  # its checksum is known now
    assert find_official("vit_b") == target
    assert fetch(server)[:2] == (target, [f"{NAME} is on this computer already; nothing is downloaded."])
    assert len(server.asked) == 1


def test_the_mirror_of_the_environment(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", f"{server.address}/sam/?token=1")
    assert list(fetch_base("vit_b"))[-1] == Finished(target)
    assert server.asked == [(f"/sam/{NAME}?token=1", None)]
    monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", "not an address")
    target.unlink()
    with pytest.raises(ModelError, match="PHASEGUIDE_SAM_MIRROR 'not an address'"):
        list(fetch_base("vit_b"))


@pytest.mark.parametrize(
    "mirror", ["ftp://x/y", "/disk/folder", "http://", "https://[x", "", "http://h:99999/"]
)
def test_what_is_no_mirror_is_refused(mirror: str) -> None:
    with pytest.raises(ModelError, match=r"--mirror .*: give the address of a folder"):
        list(fetch_base("vit_b", mirror))


def test_a_mirror_may_be_given_with_the_name_of_the_file() -> None:
    for given in ("https://e.org/sam", "https://e.org/sam/", f"https://e.org/sam/{NAME}"):
        assert check_address(OFFICIAL_B, given) == f"https://e.org/sam/{NAME}"


def test_redirections_are_followed(server: Server, target: Path) -> None:
    put(target.with_name(f"{NAME}.part"), CONTENT[:100_000])
    server.redirect = True
    assert fetch(server)[0] == target and target.read_bytes() == CONTENT
    assert server.asked[-1] == (f"/moved/{NAME}", "bytes=100000-")


def test_a_stopped_download_goes_on_where_it_was(server: Server, target: Path, part: Path) -> None:
    server.pause_s = 0.02
    events = fetch_base("vit_b", server.address)
    for event in events:
        if isinstance(event, Progress) and event.done > 40_000:
            break
    events.close()  # type: ignore[attr-defined]
    kept = part.stat().st_size
    assert 40_000 < kept < len(CONTENT) and part.read_bytes() == CONTENT[:kept] and not target.exists()
    time.sleep(0.1)
    assert part.stat().st_size == kept, "nothing is written after the stop"
    server.pause_s = 0
    path, notices, steps = fetch(server)
    assert path.read_bytes() == CONTENT and notices == [] and not part.exists()
    assert server.asked[-1] == (f"/{NAME}", f"bytes={kept}-")
    assert min(s.done for s in steps if s.stage.startswith("Downloading")) >= kept


def test_a_server_that_cannot_send_parts_starts_anew(server: Server, part: Path) -> None:
    put(part, CONTENT[:150_000])
    server.ranges = False
    path, notices, _ = fetch(server)
    assert path.read_bytes() == CONTENT
    assert len(notices) == 1 and "it starts anew" in notices[0]


def test_a_part_that_is_complete_needs_its_name_only(server: Server, part: Path) -> None:
    put(part, CONTENT)
    assert fetch(server)[0].read_bytes() == CONTENT
    assert server.asked == [(f"/{NAME}", f"bytes={len(CONTENT)}-")]


def test_a_connection_that_breaks_off_is_taken_up_again(server: Server) -> None:
    server.cuts = [120_000, 60_000]
    path, notices, _ = fetch(server)
    assert path.read_bytes() == CONTENT
    assert ["broke off" in notice for notice in notices] == [True, True]
    assert [asked for _, asked in server.asked] == [None, "bytes=120000-", "bytes=180000-"]


def test_a_connection_that_stays_away_keeps_the_part(server: Server, target: Path, part: Path) -> None:
    server.cuts = [50_000, 0]
    refused(server, "broke off after 0.1 MB", "kept", "phaseguide models base get vit_b")
    assert part.stat().st_size == 50_000 and not target.exists()
    assert fetch(server)[0].read_bytes() == CONTENT and server.asked[-1][1] == "bytes=50000-"


def test_it_is_not_tried_for_ever(server: Server, part: Path) -> None:
    server.cuts = [10_000] * 20
    refused(server, "broke off")
    assert len(server.asked) == download.RETRIES + 1 and part.stat().st_size == len(server.asked) * 10_000


def test_a_server_that_falls_silent_is_asked_again_and_given_up(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", (1.0, 0.3))
    server.pause_s = 1.0
    told: list[int] = []
    events = fetch_base("vit_b", server.address)
    for event in events:
        if isinstance(event, Progress):
            told.append(event.done)
            if event.done == 20_000:
                break
    events.close()  # type: ignore[attr-defined]
    assert part.stat().st_size == 20_000, "each answer brought a piece, and then nothing"
    assert told.count(10_000) >= 2, "it goes on telling, and so can be stopped, while nothing comes"
    monkeypatch.setattr(download, "SILENCES", 2)
    server.silent_s = 2.0
    refused(server, "cannot be reached")
    assert part.stat().st_size == 20_000, "what was downloaded stays"
    server.pause_s = server.silent_s = 0
    assert fetch(server)[0].read_bytes() == CONTENT and server.asked[-1][1] == "bytes=20000-"


@pytest.mark.parametrize("size", [len(CONTENT), 1000, 2 * len(CONTENT)])
def test_wrong_bytes_are_thrown_away(server: Server, target: Path, part: Path, size: int) -> None:
    server.content = bytes(size)
    refused(server, "checksum mismatch", "thrown away", OFFICIAL_B.sha256[:12], "--mirror URL")
    assert not part.exists() and not target.exists()
    server.content = CONTENT
    assert fetch(server)[0].read_bytes() == CONTENT


def test_a_damaged_part_is_thrown_away(server: Server, part: Path) -> None:
    put(part, bytes(1000))
    refused(server, "checksum mismatch")
    put(part, bytes(len(CONTENT) + 5))
    refused(server, "checksum mismatch")
    assert not part.exists()


def test_a_short_file_of_a_server_that_tells_no_length(server: Server, part: Path) -> None:
    server.tells_length = False
    server.cuts = [100_000]
    refused(server, "checksum mismatch")
    assert fetch(server)[0].read_bytes() == CONTENT


def test_a_server_that_never_stops(server: Server, part: Path) -> None:
    server.content, server.tells_length = bytes(60_000_000), False
    refused(server, "sends more than the 0 MB of the file", "nothing of it was kept", server.address)
    assert not part.exists()
    assert server.sent < 30_000_000, "it was hung up on"
    server.content = CONTENT
    assert fetch(server)[0].read_bytes() == CONTENT


def test_a_server_that_announces_too_much(server: Server, part: Path) -> None:
    server.content = bytes(60_000_000)
    refused(server, "sends more than the 0 MB of the file")
    assert not part.exists() and server.sent < 30_000_000


def test_a_part_that_grows_beyond_the_file(server: Server, part: Path) -> None:
    put(part, CONTENT[:1000])
    server.content = CONTENT + bytes(2_000_000)
    refused(server, "sends more than the 0 MB of the file")
    assert not part.exists()


def test_a_part_that_is_larger_than_the_file_is_begun_anew(server: Server, part: Path) -> None:
    put(part, bytes(3_000_000))
    assert fetch(server)[0].read_bytes() == CONTENT and server.asked == [(f"/{NAME}", None)]


@pytest.mark.parametrize("packed", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_packed_answer_is_not_unpacked(server: Server, part: Path, packed: str) -> None:
    """A few bytes of it can be as many as there is memory."""
    server.content, server.packed = gzip.compress(bytes(20_000_000)), packed
    refused(server, "sends the file packed", "nothing of it was kept")
    assert not part.exists()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "//", "http://[x"])
def test_redirections_to_anything_but_a_web_address(
    server: Server, target: Path, part: Path, address: str
) -> None:
    server.redirect_to = address
    refused(server)
    assert not target.exists() and (not part.exists() or part.stat().st_size == 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_the_place_of_the_part(server: Server, part: Path) -> None:
    part.parent.mkdir(parents=True)
    os.mkfifo(part)
    refused(server, "cannot be written")


def test_another_part_than_asked_for(server: Server, part: Path) -> None:
    put(part, CONTENT[:1000])
    server.shift = 7
    refused(server, "another part")
    assert not part.exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "no such file"),
        (403, "refuses the file"),
        (503, "Try again later"),
        (429, "refuses (status 429)"),
    ],
)
def test_a_server_that_refuses(server: Server, part: Path, status: int, words: str) -> None:
    put(part, CONTENT[:1000])
    server.status = status
    refused(server, words, f"status {status}", server.address)
    assert part.read_bytes() == CONTENT[:1000], "what was downloaded stays"


def test_a_page_to_sign_in_is_not_taken_for_the_file(server: Server, part: Path) -> None:
    put(part, CONTENT[:1000])
    server.ranges, server.content, server.content_type = False, b"<html>Sign in", "text/html; charset=utf-8"
    refused(server, "web page instead of the file")
    assert part.read_bytes() == CONTENT[:1000]


def test_no_network(part: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Server(address=f"http://user:secret@127.0.0.1:{free.getsockname()[1]}")
        told = refused(nobody, "cannot be reached", "Check the network", str(part.parent))
    assert "secret" not in told
    nobody.address = "http://no-such-host.invalid"
    refused(nobody, "cannot be reached")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(server: Server, target: Path, part: Path) -> None:
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    refused(server, str(part), "the disk is full", "another 0.3 MB", "phaseguide models base get vit_b")
    assert not target.exists()


def test_a_disk_that_fills_up_in_mid_download_keeps_the_part(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = download._append, []

    def append(file: BinaryIO, chunk: bytes) -> None:
        if len(written) == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(chunk)
        original(file, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_append", append)
        refused(server, "the disk is full", "another 0.2 MB")
    assert part.stat().st_size == 100_000
    assert fetch(server)[0].read_bytes() == CONTENT and server.asked[-1][1] == "bytes=100000-"


def test_too_little_space_is_told_before_anything_is_downloaded(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = download.shutil.disk_usage(".")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    refused(server, "the disk is full", "another 0.3 MB")
    assert part.stat().st_size == 0


def test_a_folder_that_cannot_be_made(server: Server, data_dir: Path) -> None:
    (data_dir / "bases").write_text("a file in its place")
    refused(server, "cannot be written", "PHASEGUIDE_DATA_DIR")


def test_two_downloads_of_one_file_do_not_mix(server: Server) -> None:
    server.pause_s = 0.01
    first = fetch_base("vit_b", server.address)
    for event in first:
        if isinstance(event, Progress) and event.done:
            break
    with pytest.raises(ModelError, match="is being downloaded already"):
        list(fetch_base("vit_b", server.address))
    assert isinstance(list(first)[-1], Finished)


def test_another_file_of_that_name_is_kept(server: Server, target: Path) -> None:
    put(target, b"precious")
    path, notices, _ = fetch(server)
    assert path.read_bytes() == CONTENT and "checksum mismatch" in notices[0]
    (aside,) = [file for file in target.parent.glob("*.pth") if file != target]
    assert aside.read_bytes() == b"precious" and aside.name in notices[0]


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that cannot be caught")
def test_a_killed_process_is_taken_up_again(server: Server, target: Path, part: Path) -> None:
    code = (
        "import sys\n"
        "from phaseguide.files import download\n"
        "from phaseguide.models.sam import shapes\n"
        "from phaseguide.models.sam.weights import fetch_base\n"
        f"shapes.OFFICIAL['vit_b'] = shapes.OfficialFile({NAME!r}, {OFFICIAL_B.sha256!r}, 0)\n"
        "download.CHUNK = 10_000\n"
        f"for event in fetch_base('vit_b', {server.address!r}): pass\n"
    )
    server.pause_s = 0.05
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(lambda: part.exists() and part.stat().st_size >= 50_000)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = part.stat().st_size
    assert kept < len(CONTENT) and part.read_bytes() == CONTENT[:kept] and not target.exists()
    server.pause_s = 0
    path, notices, _ = fetch(server)
    assert path.read_bytes() == CONTENT and notices == [] and server.asked[-1][1] == f"bytes={kept}-"
