"""Steering a run from outside: pause it, go on, stop it and keep the best so far."""

from __future__ import annotations

import threading


class Control:
    """Shared between the thread that trains and whoever watches; looked at between two steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()

    def stop(self) -> None:
        """End the run after the step under way; it finishes with the best model so far."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Wait after the step under way."""
        if not self._stop.is_set():
            self._go.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        """Whether the run is waiting or will wait after its step."""
        return not self._go.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait while paused, at most ``timeout`` seconds; return whether the run may go on."""
        return self._go.wait(timeout)
