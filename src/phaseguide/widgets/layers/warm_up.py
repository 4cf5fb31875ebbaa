"""What is made ready before the first result is shown: torch, the device, colours. A worker does it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from phaseguide.jobs.warm_up import import_torch
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.segmentation.network.device import Device

_compiling = threading.Lock()
_compiled = False

P = ParamSpec("P")
Event = TypeVar("Event")


def warm_up() -> None:
    """Import torch and compile napari's colour mapping. Takes seconds the first time."""
    import_torch()
    compile_colours()


def find_device(wish: str) -> Device:
    """Choose the device. Imports torch, which takes seconds the first time.

    Raises
    ------
    DeviceError
        Asked for and not there.
    """
    from phaseguide.segmentation.network.device import choose_device

    warm_up()
    return choose_device(wish)


def describe_device(device: Device) -> str:
    """Return the device line: its name, and for the CPU why it is that."""
    return f"{device.name} ({device.reason})" if device.kind == "cpu" else device.name


def with_colours(job: Callable[P, Iterator[Event]]) -> Callable[P, Iterator[Event]]:
    """Return a job that also makes ready, after its first event, what its result is shown with."""

    def run(*args: P.args, **options: P.kwargs) -> Iterator[Event]:
        events = job(*args, **options)
        for event in events:
            yield event
            break
        warm_up()
        yield from events

    return run


def compile_colours() -> None:
    """Let napari colour a few labels.

    With numba installed it compiles the code for that on first use, which takes up to four seconds; in
    the GUI thread this would freeze the window when the first result appears.
    """
    global _compiled
    with _compiling:
        if _compiled:
            return
        import numpy as np

        from phaseguide.widgets.layers.appearance import phase_colormap, phase_features

        scheme = PhaseScheme.from_names(["a", "b"])
        phase_features(scheme)
        phase_colormap(scheme).map(np.zeros((2, 2), dtype=np.uint8))
        _compiled = True
