"""A tiny "official" file of base weights, and a server on this computer that offers it, well or badly."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from phaseguide.models.sam.shapes import OFFICIAL, OfficialFile

CONTENT = bytes(range(256)) * 1200  # 307 kB: several chunks
OFFICIAL_B = OfficialFile("sam_vit_b_01ec64.pth", hashlib.sha256(CONTENT).hexdigest(), 0)


@dataclass
class Server:
    """What it does is set by a test, at any time.

    Attributes
    ----------
    ranges : bool
        Whether it can send a part of the file.
    status : int
        200, or what it answers with instead of the file.
    content, content_type
        What it sends.
    cuts : list of int
        Of each of the next answers, after how many bytes it breaks off.
    pause_s : float
        Between two pieces of 10 kB.
    silent_s : float
        Before it answers.
    tells_length : bool
    shift : int
        By how much it misses the part that was asked for.
    redirect_to : str
        Address to send everybody to.
    packed : str
        What it says the content is packed with.
    sent : int
        Bytes of content that it has sent.
    asked : list of (path, Range header)
    """

    address: str = ""
    ranges: bool = True
    status: int = 200
    content: bytes = CONTENT
    content_type: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    pause_s: float = 0.0
    silent_s: float = 0.0
    tells_length: bool = True
    shift: int = 0
    redirect: bool = False
    redirect_to: str = ""
    packed: str = ""
    sent: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append((self.path, wanted))
            time.sleep(server.silent_s)
            if server.redirect_to:
                self.send_response(302)
                self.send_header("Location", server.redirect_to)
                self.end_headers()
                return
            if server.redirect and not self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", f"{server.address}/moved{self.path}")
                self.end_headers()
                return
            if server.status != 200:
                self.send_error(server.status)
                return
            start = 0
            if wanted is not None and server.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(server.content):
                    self.send_error(416)
                    return
                start += server.shift
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
                )
            else:
                self.send_response(200)
            body = server.content[start:]
            self.send_header("Content-Type", server.content_type)
            if server.packed:
                self.send_header("Content-Encoding", server.packed)
            if server.tells_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            end = server.cuts.pop(0) if server.cuts else len(body)
            for at in range(0, end, 10_000):
                self.wfile.write(body[at : min(at + 10_000, end)])
                server.sent += 10_000
                time.sleep(server.pause_s)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server in a thread."""
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    http.daemon_threads = True
    state.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let no weights of this computer be found, and take the tiny file for the official vit_b."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in (
        "XDG_CACHE_HOME", "TORCH_HOME", "MICROSAM_CACHEDIR", "PHASEGUIDE_SAM_WEIGHTS", "PHASEGUIDE_SAM_MIRROR",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(OFFICIAL, "vit_b", OFFICIAL_B)


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for something that happens elsewhere."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
