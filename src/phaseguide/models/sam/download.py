"""Download a file of official weights: in steps, resumable, and whole before it gets its name."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import SplitResult, urlsplit, urlunsplit

from filelock import FileLock, Timeout

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.sam.checksums import bases_folder, remember_checksum, stamping
from phaseguide.models.sam.shapes import OFFICIAL, OfficialFile

if TYPE_CHECKING:
    from requests import Response

WEIGHTS_VARIABLE = "PHASEGUIDE_SAM_WEIGHTS"
MIRROR_VARIABLE = "PHASEGUIDE_SAM_MIRROR"
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
    "the address, or take another mirror: {again} --mirror URL.",
    "packed": "sends the file packed, although that was not asked for; nothing of it was kept. Take another mirror: "
    "{again} --mirror URL.",
    "other part": "sends another part of the file than asked for. Start again: {again}.",
    "mismatch": "checksum mismatch: what was downloaded has {found}... instead of {wanted}..., and was thrown away. "
    "Try again, or another mirror: {again} --mirror URL.",
}
"""What is said of each failure, behind the address. Classes stand by name, so that nothing is imported for them."""
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def check_address(official: OfficialFile, mirror: str | None) -> str:
    """Return the address to download a file from; `ModelError` if the mirror is no http or https address."""
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


def by_hand(official: OfficialFile) -> str:
    """Say how to bring a file without a network."""
    return (
        f"Offline: get {official.url} on another computer, put it into {bases_folder()} under the name "
        f"{official.name}, or set {WEIGHTS_VARIABLE} to the file or its folder."
    )


def stopped_downloads() -> dict[str, Path]:
    """Sizes of which a part was downloaded, and the file of that part."""
    parts = {size: _part_path(bases_folder() / official.name) for size, official in OFFICIAL.items()}
    return {size: part for size, part in parts.items() if os.path.isfile(part)}


def downloading(
    official: OfficialFile, size: str, address: str, target: Path
) -> Iterator[Progress | Notice | Finished[Path]]:
    """Download a file, verify its checksum, and give it its name.

    Until then it is ``<name>.part`` beside; closing the generator keeps that, and the next call goes on from it. A file
    at the target is replaced. Errors as of `phaseguide.models.sam.weights.fetch_base`.
    """
    transfer = _Transfer(official, size, address, _part_path(target))
    part = transfer.part
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise transfer.disk(error) from error
    with _exclusive(target.parent / f".{target.name}.lock", part):
        if target.is_file():  # another program has just brought it
            stamp = yield from stamping(target)
            if stamp.sha256 == official.sha256:
                remember_checksum(target, stamp)
                yield Finished(target)
                return
        yield from transfer.persisting()
        stamp = yield from stamping(part)
        if stamp.sha256 != official.sha256:
            part.unlink(missing_ok=True)
            raise transfer.failed("mismatch", found=stamp.sha256[:12], wanted=official.sha256[:12])
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
        except OSError as error:
            raise transfer.disk(error) from error
        remember_checksum(target, stamp)
    yield Finished(target)


class _Transfer:
    """Brings what is missing of a file into its part; counts bytes, and takes none more than belong."""

    def __init__(self, official: OfficialFile, size: str, address: str, part: Path) -> None:
        self.official, self.address, self.part = official, address, part
        self._again = f"phaseguide models base get {size}"
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
            with _appending(self.part, self.official.most_bytes) as file:
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
        if self._done + length > self.official.most_bytes:
            raise _Worthless(self.failed("too large"))
        self._total = self._done + length if length else 0
        if length > shutil.disk_usage(self.part.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _receive(self, response: Response, file: BinaryIO) -> Iterator[Progress]:
        told = 0.0
        for chunk in response.iter_content(CHUNK):
            if self._done + len(chunk) > self.official.most_bytes:
                raise _Worthless(self.failed("too large"))
            _append(file, chunk)
            self._done += len(chunk)
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                yield self._progress()
        yield self._progress()

    def _progress(self) -> Progress:
        return Progress(f"Downloading {self.official.name}", self._done, self._total)

    def failed(self, failure: str, **about: object) -> ModelError:
        """Return what to raise for a failure of the table."""
        about |= {"again": self._again, "megabytes": self.official.megabytes}
        sentence = _FAILURES[failure].format(done=_bytes_of(self.part) / 1e6, **about)
        return ModelError(f"{_without_secrets(self.address)}: {sentence} {by_hand(self.official)}")

    def disk(self, error: OSError) -> ModelError:
        """Return what to raise where the disk does not take the file."""
        told = f"cannot be written ({error.strerror or error}). Check that you may write to this folder, or choose"
        if error.errno in _FULL:
            needed = f"{self.official.megabytes} MB"
            if self._total:
                needed = f"another {max(self._total - _bytes_of(self.part), 0) / 1e6:.1f} MB"
            told = (
                f"the disk is full; the download needs {needed}. Free some space and go on with: {self._again}. "
                "Or choose"
            )
        return ModelError(
            f"{self.part}: {told} another folder with PHASEGUIDE_DATA_DIR. {by_hand(self.official)}"
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


def _part_path(target: Path) -> Path:
    """File of a download that is not complete."""
    return target.with_name(f"{target.name}.part")


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
