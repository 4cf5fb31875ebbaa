"""A screen for one process of tests: an X server of its own, so that nobody else takes the keyboard."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

COMMAND = ["Xvfb", "-screen", "0", "1920x1200x24", "-dpi", "96", "-nolisten", "tcp"]
MISSING = "No screen, and no Xvfb to make a virtual one: install the package xvfb."
PR_SET_PDEATHSIG = 1


def virtual_screen_is_possible() -> bool:
    """Tell whether windows open on an X server here, and whether there is one without a monitor."""
    return sys.platform == "linux" and shutil.which("Xvfb") is not None


def can_open_windows() -> bool:
    """Tell whether there is a screen, or a way to make one."""
    if sys.platform != "linux" or virtual_screen_is_possible():
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _ends_with_this_process() -> Callable[[], None]:
    """Make the call by which a new process dies with this one, also where this one crashes."""
    libc = ctypes.CDLL(None)  # loaded here: little is safe between fork and exec
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Screen:
    """A virtual screen that this process and its children open their windows on, until it is closed."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self._server = subprocess.Popen(
            [*COMMAND, "-displayfd", str(write)],
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_ends_with_this_process(),
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()  # ends when the server listens, or when it has ended
        if not number:
            raise RuntimeError(f"Xvfb did not start; it ended with code {self._server.wait()}.")
        os.environ["DISPLAY"] = f":{number}"
        os.environ.pop("WAYLAND_DISPLAY", None)
        os.environ.pop("XAUTHORITY", None)

    def close(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.wait()
