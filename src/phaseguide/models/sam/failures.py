"""What to say when a download of base weights fails, and how to go on or do without a network."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from phaseguide.errors import ModelError
from phaseguide.models.sam.places import by_hand
from phaseguide.models.sam.shapes import OfficialFile

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class WebPage(Exception):
    """The server sends a web page instead of the file."""


class OtherPart(Exception):
    """The server sends another part of the file than asked for."""


class TooLarge(Exception):
    """The server sends more bytes than the file has."""


class Packed(Exception):
    """The server sends the file packed, although it was asked not to."""


class BrokeOff(Exception):
    """The connection broke off after some bytes."""


class Transfer(Protocol):
    """What a failure needs to know of the transfer that it ended."""

    total: int
    started: bool


class Sentences:
    """What to say of each way in which a download fails."""

    def __init__(self, official: OfficialFile, size: str, address: str, part: Path) -> None:
        self._official = official
        self._part = part
        self._address = _without_secrets(address)
        self._again = f"phaseguide models base get {size}"

    def of(self, error: BaseException, transfer: Transfer) -> Exception:
        """Return the error to raise for one that the download ended with."""
        from requests import exceptions

        if isinstance(error, exceptions.HTTPError):
            return self._status(0 if error.response is None else error.response.status_code)
        if isinstance(error, WebPage):
            return self._end(
                f"{self._address}: answers with a web page instead of the file. Sign in to the network with a browser, "
                "or correct the address of the mirror."
            )
        if isinstance(error, TooLarge):
            return self._end(
                f"{self._address}: sends more than the {self._official.megabytes} MB of the file, so it is another; "
                f"nothing of it was kept. Correct the address, or take another mirror: {self._again} --mirror URL."
            )
        if isinstance(error, Packed):
            return self._end(
                f"{self._address}: sends the file packed, although that was not asked for; nothing of it was kept. "
                f"Take another mirror: {self._again} --mirror URL."
            )
        if isinstance(error, OtherPart):
            self._part.unlink(missing_ok=True)
            return self._end(
                f"{self._address}: sends another part of the file than asked for. Start again: {self._again}."
            )
        if isinstance(error, exceptions.SSLError):
            return self._end(
                f"{self._address}: the certificate of the server cannot be verified. Behind a proxy with its "
                "own certificate, set REQUESTS_CA_BUNDLE to that."
            )
        if isinstance(error, exceptions.InvalidProxyURL | exceptions.ProxyError):
            return self._end(f"{self._address}: the proxy cannot be used. Check the variable HTTPS_PROXY.")
        nowhere = (exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.TooManyRedirects, ValueError)
        if isinstance(error, nowhere):
            return self._end(f"{self._address}: leads nowhere. Correct the address of the mirror.")
        if isinstance(error, exceptions.RequestException):
            if transfer.started:
                return BrokeOff()
            return self._end(
                f"{self._address}: cannot be reached. Check the network, the proxy (HTTPS_PROXY) or the mirror, "
                f"then: {self._again}."
            )
        if isinstance(error, OSError):
            return self.disk(error, transfer)
        return error if isinstance(error, Exception) else RuntimeError(repr(error))

    def disk(self, error: OSError, transfer: Transfer | None = None) -> ModelError:
        """Say that the disk does not take the file."""
        if error.errno not in _FULL:
            return self._end(
                f"{self._part}: cannot be written ({error.strerror or error}). Check that you may write to this "
                "folder, or choose another with PHASEGUIDE_DATA_DIR."
            )
        needed = f"{self._official.megabytes} MB"
        if transfer is not None and transfer.total:
            needed = f"another {max(transfer.total - bytes_of(self._part), 0) / 1e6:.1f} MB"
        return self._end(
            f"{self._part}: the disk is full; the download needs {needed}. Free some space and go on with: "
            f"{self._again}. Or choose another folder with PHASEGUIDE_DATA_DIR."
        )

    def broke_off(self, done: int) -> ModelError:
        """Say that the connection broke off and did not come back."""
        return self._end(
            f"{self._address}: the connection broke off after {done / 1e6:.1f} MB, which are kept. "
            f"Go on with: {self._again}."
        )

    def mismatch(self, sha256: str) -> ModelError:
        """Say that something else was downloaded."""
        return self._end(
            f"{self._address}: checksum mismatch: what was downloaded has {sha256[:12]}... instead of "
            f"{self._official.sha256[:12]}..., and was thrown away. Try again, or another mirror: "
            f"{self._again} --mirror URL."
        )

    def _status(self, status: int) -> Exception:
        if status >= 500:
            return self._end(f"{self._address}: the server has a problem (status {status}). Try again later.")
        if status in (401, 403):
            return self._end(
                f"{self._address}: the server refuses the file (status {status}). Try another mirror."
            )
        if status in (404, 410):
            return self._end(
                f"{self._address}: there is no such file (status {status}). Correct the address of the mirror."
            )
        return self._end(
            f"{self._address}: the server refuses (status {status}). Try again later or another mirror."
        )

    def _end(self, text: str) -> ModelError:
        return ModelError(f"{text} {by_hand(self._official)}")


def _without_secrets(address: str) -> str:
    """An address as it may be shown: without a name, a password and a query."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def bytes_of(part: Path) -> int:
    """Bytes of a file; 0 if it is not there."""
    try:
        return part.stat().st_size
    except OSError:
        return 0
