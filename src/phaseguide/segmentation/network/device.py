"""Choosing the device a model runs on, and saying why it is that one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseguide.errors import DeviceError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """A device with what the user reads about it.

    Attributes
    ----------
    kind : {"cpu", "cuda", "mps"}
    name : str
        Name of the hardware.
    reason : str
        Why this one; for the CPU, why not a GPU.
    half : bool
        Whether the network runs in half precision there (only on CUDA; half precision is slower than
        single on a CPU).
    """

    kind: str
    name: str
    reason: str
    half: bool

    @property
    def torch_device(self) -> torch.device:
        """For torch."""
        import torch

        return torch.device(self.kind)


def choose_device(wish: str = "auto") -> Device:
    """Choose a device: ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises `DeviceError` where one that was asked for by name is not there; the message says why.
    """
    import torch

    if wish not in ("auto", "cpu", "cuda", "mps"):
        raise DeviceError(f"Unknown device {wish!r}. Choose auto, cpu, cuda or mps.")
    if wish in ("auto", "cuda") and torch.cuda.is_available():
        return Device("cuda", torch.cuda.get_device_name(0), "fastest device found", half=True)
    if wish == "cuda":
        raise DeviceError(f"CUDA was asked for, but {_why_no_cuda()}. Choose auto or cpu.")
    if wish in ("auto", "mps") and torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", "fastest device found", half=False)
    if wish == "mps":
        raise DeviceError("MPS was asked for, but this is not an Apple machine with MPS. Choose auto or cpu.")
    threads = torch.get_num_threads()
    reason = "chosen by you" if wish == "cpu" else _why_no_cuda()
    return Device("cpu", f"CPU, {threads} thread{'s' if threads != 1 else ''}", reason, half=False)


def check_runtime(wish: str) -> str:
    """Return what is to run networks on a CPU; `DeviceError` for anything but auto, torch or onnx."""
    if wish not in ("auto", "torch", "onnx"):
        raise DeviceError(f"Unknown runtime {wish!r}. Choose auto, torch or onnx.")
    return wish


def computes_bfloat16(kind: str) -> bool:
    """Whether a device has bfloat16 of its own; older NVIDIA cards only imitate it, slower than single precision."""
    import torch

    return kind != "cuda" or (
        torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    )


def _why_no_cuda() -> str:
    import torch

    if torch.version.cuda is None:
        return "this build of torch has no CUDA"
    return "torch finds no NVIDIA GPU or driver"


def default_memory_mb() -> int:
    """Half of the free memory in MB, between 1024 and 4096; 4096 where the system does not tell."""
    import os

    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4096
    return max(1024, min(4096, free // 2_000_000))
