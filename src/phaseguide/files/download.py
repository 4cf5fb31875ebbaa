"""Download a large file: in steps, resumable, and whole before it gets its name."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import SplitResult, urlsplit, urlunsplit

from filelock import FileLock, Timeout

from phaseguide.errors import ModelError
from phaseguide.events import Notice, Progress
from phaseguide.files.stamps import Stamp, stamping

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 16
TELL_S = 0.2
TIMEOUT_S = (5.0, 5.0)
"""How long to wait for a connection, and for the next bytes, in seconds: so late may a download be stopped."""
SILENCES = 6
"""How often in a row a server may let that time pass before it is given up."""
RETRIES = 4
WAIT_S = 2.0
"""Seconds before a connection that broke off is tried again."""

_log = logging.getLogger(__name__)


class _Worthless(ModelError):
    """Nothing of what the server sends can be part of the file."""


class _BrokeOff(Exception):
    """The connection broke off after some bytes."""


class _Silent(Exception):
    """Nothing came for as long as a read may take."""


_REFUSES = "the server refuses the file (status {status}). Try another mirror."
_NO_FILE = "there is no such file (status {status}). Correct the address of the mirror."
_PROXY = "the proxy cannot be used. Check the variable HTTPS_PROXY."
_NOWHERE = "leads nowhere. Correct the address of the mirror."
_UNREACHED = "cannot be reached. Check the network, the proxy (HTTPS_PROXY) or the mirror, then: {again}."
_FAILURES = {
    # what a server answers
    "401": _REFUSES,
    "403": _REFUSES,
    "404": _NO_FILE,
    "410": _NO_FILE,
    "4xx": "the server refuses (status {status}). Try again later or another mirror.",
    "5xx": "the server has a problem (status {status}). Try again later.",
    # what requests raises: the nearest class counts
    "SSLError": "the certificate of the server cannot be verified. Behind a proxy with its own certificate, set "
    "REQUESTS_CA_BUNDLE to that.",
    "ProxyError": _PROXY,
    "InvalidProxyURL": _PROXY,
    "InvalidURL": _NOWHERE,
    "InvalidSchema": _NOWHERE,
    "MissingSchema": _NOWHERE,
    "TooManyRedirects": _NOWHERE,
    "ValueError": _NOWHERE,
    "RequestException": _UNREACHED,
    # what is sent
    "silent": _UNREACHED,
    "broke off": "the connection broke off after {done:.1f} MB, which are kept. Go on with: {again}.",
    "page": "answers with a web page instead of the file. Sign in to the network with a browser, or correct the "
    "address of the mirror.",
    "too large": "sends more than the {megabytes} MB of the file, so it is another; nothing of it was kept. Correct "
    "the address, or take another mirror: {elsewhere}.",
    "packed": "sends the file packed, although that was not asked for; nothing of it was kept. Take another mirror: "
    "{elsewhere}.",
    "other part": "sends another part of the file than asked for. Start again: {again}.",
    "mismatch": "checksum mismatch: what was downloaded has {found}... instead of {wanted}..., and was thrown away. "
    "Try again, or another mirror: {elsewhere}.",
}
"""What is said of each failure, behind the address. Classes stand by name, so that nothing is imported for them."""
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Wanted:
    """A file to download.

    Attributes
    ----------
    address : str
        Where it is; see `mirrored`.
    target : Path
        Where it is put; a file there that has not the checksum is replaced.
    sha256 : str
        Its checksum, 64 hex digits; empty where nobody published one: then its length must be the one that the server
        tells.
    megabytes : int
        About its size, or where that is not known what it cannot be larger than.
    again, elsewhere, by_hand : str
        Said in messages: how to go on, how to take another server, and a sentence on how to do without a network.
    """

    address: str
    target: Path
    sha256: str
    megabytes: int
    again: str
    elsewhere: str
    by_hand: str

    @property
    def most_bytes(self) -> int:
        """What the file cannot be larger than: its size is known to the megabyte."""
        return (self.megabytes + 1) * 1_000_000

    @property
    def part(self) -> Path:
        """File of a download that is not complete."""
        return part_path(self.target)


def part_path(target: Path) -> Path:
    """File of a download that is not complete."""
    return target.with_name(f"{target.name}.part")


def mirrored(url: str, mirror: str) -> str | None:
    """Address of a file in the folder of a mirror; None if that is no http or https address."""
    name = url.rpartition("/")[2]
    parts = _split(mirror.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    folder = parts.path.removesuffix(name).rstrip("/")
    return urlunsplit(parts._replace(path=f"{folder}/{name}"))


def downloading(wanted: Wanted) -> Generator[Progress | Notice, None, Stamp]:
    """Download a file, verify its checksum, give it its name, and return its stamp.

    Until then it is ``<name>.part`` beside; closing the generator keeps that, and the next call goes on from it.

    Raises
    ------
    ModelError
        No network; the server refuses, breaks off or sends something else; the disk is full or cannot be written. The
        message says how to go on and how to do without a network.
    """
    transfer = _Transfer(wanted)
    part, target = wanted.part, wanted.target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise transfer.disk(error) from error
    with _exclusive(target.parent / f".{target.name}.lock", part):
        if target.is_file():  # another program has just brought it
            stamp = yield from stamping(target)
            if wanted.sha256 in (stamp.sha256, ""):
                return stamp
        yield from transfer.persisting()
        stamp = yield from stamping(part)
        if wanted.sha256 and stamp.sha256 != wanted.sha256:
            part.unlink(missing_ok=True)
            raise transfer.failed("mismatch", found=stamp.sha256[:12], wanted=wanted.sha256[:12])
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
        except OSError as error:
            raise transfer.disk(error) from error
    return stamp


class _Transfer:
    """Brings what is missing of a file into its part; counts bytes, and takes none more than belong."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted, self.address, self.part = wanted, wanted.address, wanted.part
        self._done = self._total = 0  # bytes; a total of 0 where the server did not tell
        self._started = False

    def persisting(self) -> Iterator[Progress | Notice]:
        """Transfer, and go on a few times where the connection breaks off or falls silent."""
        attempts, silences, most = 0, 0, _bytes_of(self.part)
        while True:
            before = _bytes_of(self.part)
            try:
                yield from self._transferring()
                return
            except _Silent as error:
                # Compared with the most there ever was: a server that sends no parts may start anew for ever.
                now = _bytes_of(self.part)
                silences, most = (0, now) if now > most else (silences + 1, most)
                if silences >= SILENCES:
                    raise self.failed("broke off" if self._started else "silent") from error
                yield self._progress()
            except _BrokeOff as error:
                attempts += 1
                if attempts > RETRIES or _bytes_of(self.part) == before:
                    raise self.failed("broke off") from error
                yield Notice(
                    f"The connection broke off after {self._done / 1e6:.1f} MB. Trying again "
                    f"({attempts} of {RETRIES})."
                )
                until = time.monotonic() + WAIT_S * attempts
                while time.monotonic() < until:
                    time.sleep(min(TELL_S, WAIT_S))
                    yield Progress("Waiting to try again", 0, 0)

    def _transferring(self) -> Iterator[Progress | Notice]:
        """Append to the part what is missing of it."""
        import requests

        sending = False
        try:
            with _appending(self.part, self.wanted.most_bytes) as file:
                self._done, self._total = file.tell(), 0
                yield self._progress()
                # Compressed on the way, the bytes would not be those of the file, and could not be counted.
                headers = {"Accept-Encoding": "identity"}
                if self._done:
                    headers["Range"] = f"bytes={self._done}-"
                with requests.get(self.address, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                    response.raise_for_status()
                    yield from self._begin(response, file)
                    sending = self._started = True
                    yield from self._receive(response, file)
        except _Worthless:
            self.part.unlink(missing_ok=True)
            raise
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if status == 416:  # all bytes were there; the checksum will tell
                return
            name = str(status) if str(status) in _FAILURES else "5xx" if status >= 500 else "4xx"
            raise self.failed(name, status=status) from error
        except (requests.RequestException, OSError, ValueError) as error:
            named = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _FAILURES), "")
            if isinstance(error, OSError) and not named:
                raise self.disk(error) from error
            if _is_silence(error):
                raise _Silent from error
            if sending and isinstance(error, requests.RequestException):
                raise _BrokeOff from error
            raise self.failed(named) from error
        if self._done < self._total:
            raise _BrokeOff

    def _begin(self, response: Response, file: BinaryIO) -> Iterator[Notice]:
        """Look at the head of an answer before its body comes."""
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self.failed("page")
        # Nobody asked for it, and a few bytes can be unpacked to as many as there is memory.
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _Worthless(self.failed("packed"))
        told = response.headers.get("Content-Length", "")
        length = int(told[:20]) if told.isascii() and told.isdecimal() else 0
        if response.status_code == 206:
            said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if said is None or int(said[1]) != self._done:
                raise _Worthless(self.failed("other part"))
        elif self._done:
            yield Notice(
                f"The server cannot go on from {self._done / 1e6:.1f} MB, where the download was; it starts anew."
            )
            file.truncate(0)
            self._done = 0
        if self._done + length > self.wanted.most_bytes:
            raise _Worthless(self.failed("too large"))
        self._total = self._done + length if length else 0
        if length > shutil.disk_usage(self.part.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _receive(self, response: Response, file: BinaryIO) -> Iterator[Progress]:
        told = 0.0
        for chunk in response.iter_content(CHUNK):
            if self._done + len(chunk) > self.wanted.most_bytes:
                raise _Worthless(self.failed("too large"))
            _append(file, chunk)
            self._done += len(chunk)
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                yield self._progress()
        yield self._progress()

    def _progress(self) -> Progress:
        return Progress(f"Downloading {self.wanted.target.name}", self._done, self._total)

    def failed(self, failure: str, **about: object) -> ModelError:
        """Return what to raise for a failure of the table."""
        wanted = self.wanted
        about |= {"again": wanted.again, "elsewhere": wanted.elsewhere, "megabytes": wanted.megabytes}
        sentence = _FAILURES[failure].format(done=_bytes_of(self.part) / 1e6, **about)
        return ModelError(f"{_without_secrets(self.address)}: {sentence} {self.wanted.by_hand}")

    def disk(self, error: OSError) -> ModelError:
        """Return what to raise where the disk does not take the file."""
        told = f"cannot be written ({error.strerror or error}). Check that you may write to this folder, or choose"
        if error.errno in _FULL:
            needed = f"{self.wanted.megabytes} MB"
            if self._total:
                needed = f"another {max(self._total - _bytes_of(self.part), 0) / 1e6:.1f} MB"
            told = (
                f"the disk is full; the download needs {needed}. Free some space and go on with: {self.wanted.again}. "
                "Or choose"
            )
        return ModelError(
            f"{self.part}: {told} another folder with PHASEGUIDE_DATA_DIR. {self.wanted.by_hand}"
        )


@contextmanager
def _exclusive(path: Path, part: Path) -> Iterator[None]:
    """Hold a lock file, where the disk knows locks; it may be released in another thread."""
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ModelError(
            f"{part}: is being downloaded already, here or by another program. Wait until that is done."
        ) from error
    except (OSError, NotImplementedError) as error:
        # A network disk without locks: better to go on alone than not at all.
        _log.info("%s: no lock can be had there (%s).", path, error)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _appending(part: Path, most: int) -> Iterator[BinaryIO]:
    """Open a part to be appended to; one that is larger than the whole file is begun anew."""
    # Without O_NONBLOCK a pipe in its place would hold the program here.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(part, flags, 0o666), "ab")
    try:
        if file.tell() > most:
            file.truncate(0)
            file.seek(0)
        yield file
    finally:
        with suppress(OSError):  # a full disk was told when the bytes were written
            file.close()


def _append(file: BinaryIO, chunk: bytes) -> None:
    """Write bytes and give them to the system, where they outlive this process."""
    file.write(chunk)
    file.flush()


def _is_silence(error: Exception) -> bool:
    """Whether an error says that nothing came in time; while a body is read, it is wrapped in another one."""
    inner = error.args[0] if error.args else None
    return "ReadTimeout" in type(error).__name__ or "ReadTimeout" in type(inner).__name__


def _bytes_of(part: Path) -> int:
    """Bytes of a file; 0 if it is not there."""
    try:
        return part.stat().st_size
    except OSError:
        return 0


def _without_secrets(address: str) -> str:
    """An address as it may be shown: without a name, a password and a query."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _split(address: str) -> SplitResult | None:
    """Parts of an address; None if it is none."""
    try:
        parts = urlsplit(address)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
