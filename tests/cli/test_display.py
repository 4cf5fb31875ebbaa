"""Whether a window can open: variables may outlive their servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from phaseguide.cli import napari
from phaseguide.cli.napari import has_display

X_NUMBER = ":4242"


def environment(**changes: str) -> dict[str, str]:
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return {**{k: v for k, v in os.environ.items() if k not in screens}, **changes}


@pytest.fixture
def screen() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.kill()
    server.wait()


def test_no_screen_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("tries to open Qt"))
    assert not has_display({}, "linux")
    assert has_display({}, "darwin") and has_display({}, "win32")
    for unseen in ("offscreen", "minimal:fonts"):
        assert not has_display({"DISPLAY": ":0", "QT_QPA_PLATFORM": unseen}, "linux")


@pytest.mark.skipif(sys.platform != "linux", reason="X servers are those of Linux")
def test_a_stale_display_is_no_screen() -> None:
    pytest.importorskip("qtpy", reason="needs Qt")
    assert not has_display(environment(DISPLAY=X_NUMBER))


@pytest.mark.skipif(sys.platform != "linux", reason="X servers are those of Linux")
def test_a_server_that_answers_is_a_screen(screen: str) -> None:
    pytest.importorskip("qtpy", reason="needs Qt")
    assert has_display(environment(DISPLAY=screen))


def test_a_server_that_never_answers_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(napari, "OPEN_QT", "import time; time.sleep(60)")
    monkeypatch.setattr(napari, "LONGEST_TRY_S", 0.2)
    assert not has_display(environment(DISPLAY=X_NUMBER), "linux")
