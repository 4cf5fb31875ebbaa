"""Download a file of official weights with pooch: in steps, resumable, and whole before it gets its name."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.sam.checksums import exclusive, remember_checksum, stamping
from phaseguide.models.sam.failures import (
    BrokeOff,
    OtherPart,
    Packed,
    Sentences,
    TooLarge,
    WebPage,
    bytes_of,
)
from phaseguide.models.sam.places import MIRROR_VARIABLE, part_path
from phaseguide.models.sam.shapes import OfficialFile

CHUNK = 1 << 16
TELL_S = 0.2
TIMEOUT_S = (15.0, 30.0)
"""How long to wait for a connection, and for the next bytes, in seconds."""
RETRIES = 4
WAIT_S = 2.0
"""Seconds before a connection that broke off is tried again."""


class _Stopped(Exception):
    """Nobody waits for the download any more."""


def check_address(official: OfficialFile, mirror: str | None) -> str:
    """Return the address to download a file from.

    Raises
    ------
    ModelError
        The mirror is no http or https address.
    """
    base, source = mirror, "--mirror"
    if base is None:
        base, source = os.environ.get(MIRROR_VARIABLE) or None, MIRROR_VARIABLE
    if base is None:
        return official.url
    parts = _split(base.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(
            f"{source} {base!r}: give the address of a folder, such as https://example.org/sam/, that offers "
            f"{official.name}. A file on a disk is taken with: phaseguide models base add FILE."
        )
    folder = parts.path.removesuffix(official.name).rstrip("/")
    return urlunsplit(parts._replace(path=f"{folder}/{official.name}"))


def downloading(
    official: OfficialFile, size: str, address: str, target: Path
) -> Iterator[Progress | Notice | Finished[Path]]:
    """Download a file, verify its checksum, and give it its name.

    Until then it is ``<name>.part`` beside; closing the generator keeps that, and the next call goes on from it.

    Parameters
    ----------
    official : OfficialFile
    size : str
        What the commands call it, for messages.
    address : str
        From `check_address`.
    target : Path
        Is replaced if it is there.

    Raises
    ------
    ModelError
        See `phaseguide.models.sam.weights.fetch_base`.
    """
    part = part_path(target)
    say = Sentences(official, size, address, part)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise say.disk(error) from error
    refusal = f"{part}: is being downloaded already, here or by another program. Wait until that is done."
    with exclusive(target.parent / f".{target.name}.lock", refusal):
        if target.is_file():  # another program has just brought it
            stamp = yield from stamping(target)
            if stamp.sha256 == official.sha256:
                remember_checksum(target, stamp)
                yield Finished(target)
                return
        yield from _persisting(official, address, part, say)
        stamp = yield from stamping(part)
        if stamp.sha256 != official.sha256:
            part.unlink(missing_ok=True)
            raise say.mismatch(stamp.sha256)
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
        except OSError as error:
            raise say.disk(error) from error
        remember_checksum(target, stamp)
    yield Finished(target)


def _persisting(
    official: OfficialFile, address: str, part: Path, say: Sentences
) -> Iterator[Progress | Notice]:
    """Transfer, and go on a few times where the connection breaks off."""
    for attempt in range(1, RETRIES + 2):
        before = bytes_of(part)
        try:
            yield from _transferring(official, address, part, say)
            return
        except BrokeOff as error:
            now = bytes_of(part)
            if attempt > RETRIES or now == before:
                raise say.broke_off(now) from error
            yield Notice(
                f"The connection broke off after {now / 1e6:.1f} MB. Trying again ({attempt} of {RETRIES})."
            )
            until = time.monotonic() + WAIT_S * attempt
            while time.monotonic() < until:
                time.sleep(min(TELL_S, WAIT_S))
                yield Progress("Waiting to try again", 0, 0)


def _transferring(
    official: OfficialFile, address: str, part: Path, say: Sentences
) -> Iterator[Progress | Notice]:
    """Append to the part what is missing of it; pooch works in a thread, so that a slow server blocks nobody."""
    try:
        sink = _Sink(part, official.most_bytes)
    except OSError as error:
        raise say.disk(error) from error
    start = sink.done
    thread = threading.Thread(target=_work, args=(address, sink), name="base weights", daemon=True)
    thread.start()
    told = False
    try:
        while thread.is_alive():
            thread.join(TELL_S)
            if sink.anew and not told:
                told = True
                yield Notice(
                    f"The server cannot go on from {start / 1e6:.1f} MB, where the download was; it starts anew."
                )
            yield Progress(f"Downloading {official.name}", sink.done, sink.total)
    finally:
        failure = sink.close()
    reason = sink.error or failure
    if _is_past_end(reason):  # all bytes were there; the checksum will tell
        return
    if isinstance(reason, TooLarge | Packed):  # nothing of it can be part of the file
        part.unlink(missing_ok=True)
    if reason is not None:
        raise say.of(reason, sink) from reason
    if sink.total and sink.done < sink.total:
        raise BrokeOff


def _work(address: str, sink: _Sink) -> None:
    """Run pooch's downloader to its end; what it raises is left in the sink."""
    try:
        import pooch

        # Compressed on the way, the bytes would not be those of the file, and could not be counted.
        headers = {"Accept-Encoding": "identity"}
        if sink.done:
            headers["Range"] = f"bytes={sink.done}-"
        download = pooch.HTTPDownloader(
            chunk_size=CHUNK, headers=headers, timeout=TIMEOUT_S, hooks={"response": sink.answered}
        )
        download(address, sink, None)
    except BaseException as error:  # told by the generator, in its own thread
        sink.error = error


class _Sink:
    """The part file as the downloader sees it: counts bytes, and takes none once it is closed, or more than belong.

    Parameters
    ----------
    part : Path
        What is larger already is begun anew.
    most : int
        Bytes that the whole file cannot exceed.

    Attributes
    ----------
    done, total : int
        Bytes there, and bytes in all; ``total`` 0 where the server did not tell.
    started : bool
        Whether the server sends the file.
    anew : bool
        Whether bytes of an earlier download had to be dropped.
    error : BaseException or None
        What ended the download.
    """

    def __init__(self, part: Path, most: int) -> None:
        self._part, self._most = part, most
        # Without O_NONBLOCK a pipe in its place would hold the program here.
        flags = (
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        self._file = os.fdopen(os.open(part, flags, 0o666), "ab")
        if self._file.tell() > most:
            self._file.truncate(0)
            self._file.seek(0)
        self._lock = threading.Lock()
        self.done = self._file.tell()
        self.total = 0
        self.started = self.anew = False
        self.error: BaseException | None = None

    def answered(self, response: Any, *_args: Any, **_options: Any) -> None:
        """Look at the head of an answer before its body comes; redirections and refusals are not for us."""
        if response.is_redirect or not response.ok:
            return
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise WebPage
        told = response.headers.get("Content-Length", "")
        # Nobody asked for it, and a few bytes can be unpacked to as many as there is memory.
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Packed
        length = int(told[:20]) if told.isascii() and told.isdecimal() else 0
        if response.status_code == 206:
            said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if said is None or int(said[1]) != self.done:
                raise OtherPart
        elif self.done:
            with self._lock:
                self._refuse_if_closed()
                self._file.truncate(0)
                self.done, self.anew = 0, True
        if self.done + length > self._most:
            raise TooLarge
        self.total = self.done + length if length else 0
        self.started = True
        if length > shutil.disk_usage(self._part.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, chunk: bytes) -> int:
        """Append some bytes."""
        with self._lock:
            self._refuse_if_closed()
            if self.done + len(chunk) > self._most:
                raise TooLarge
            self._file.write(chunk)
            self.done += len(chunk)
        return len(chunk)

    def flush(self) -> None:
        """Give what was appended to the system, where it outlives this process."""
        with self._lock:
            self._refuse_if_closed()
            self._file.flush()

    def close(self) -> OSError | None:
        """Give everything to the system and take nothing more; returns what the disk had against it."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                return error
        return None

    def _refuse_if_closed(self) -> None:
        if self._file.closed:
            raise _Stopped


def _is_past_end(error: BaseException | None) -> bool:
    """Whether the server says that there are no bytes after those that we have."""
    return getattr(getattr(error, "response", None), "status_code", None) == 416


def _split(address: str) -> SplitResult | None:
    """Parts of an address; None if it is none."""
    try:
        parts = urlsplit(address)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
