"""What is found out in the background when the widget opens: the device, and an information bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from phaseguide.segmentation.device import Device


def find_device(wish: str) -> Device:
    """Choose the device. Imports torch, which takes seconds the first time.

    Raises
    ------
    DeviceError
        Asked for and not there.
    """
    from phaseguide.segmentation.device import choose_device
    from phaseguide.widgets.warm_up import warm_up

    warm_up()
    return choose_device(wish)


def describe_device(device: Device) -> str:
    """Return the device line: its name, and for the CPU why it is that."""
    return f"{device.name} ({device.reason})" if device.kind == "cpu" else device.name


def find_bar(read: Callable[[], NDArray[Any]]) -> int:
    """Rows of the information bar at the bottom of a plane; 0 if there is none or the plane cannot be read."""
    from phaseguide.micrographs.info_bar import detect_info_bar

    plane = read()
    return detect_info_bar(plane) if plane.ndim in (2, 3) and plane.dtype.kind in "uif" else 0
