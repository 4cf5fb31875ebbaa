"""What is found out in the background when the widget opens: the device, information bars and rims."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from phaseguide.micrographs.margins import NO_MARGINS, Margins, find_margins
from phaseguide.segmentation.network.device import Device


def find_device(wish: str) -> Device:
    """Choose the device. Imports torch, which takes seconds the first time.

    Raises
    ------
    DeviceError
        Asked for and not there.
    """
    from phaseguide.segmentation.network.device import choose_device
    from phaseguide.widgets.layers.warm_up import warm_up

    warm_up()
    return choose_device(wish)


def describe_device(device: Device) -> str:
    """Return the device line: its name, and for the CPU why it is that."""
    return f"{device.name} ({device.reason})" if device.kind == "cpu" else device.name


def look_for_margins(data: NDArray[Any], *, rgb: bool) -> Margins:
    """Information bars and rim of the data of an image layer; none where the layer holds no grey values or colours."""
    if data.dtype.kind not in "uif":
        return NO_MARGINS
    empty = data[..., 3] == 0 if rgb and data.shape[-1] == 4 else None
    return find_margins(data[..., :3] if rgb else data, empty=empty)
