"""Files of weights in torch's format (``.pth``, ``.pt``, ``.pth.tar``): read with care, never unpickled freely."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

from phaseguide.errors import ModelError, is_out_of_memory

_UNREADABLE = (
    RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip
"""What reading damaged bytes as weights may end in."""


def read_weights(path: Path) -> Any:
    """Read tensors and plain values alone, to the CPU; `ModelError` where there is no such file, or a damaged one."""
    import torch

    if not path.is_file():
        raise ModelError(f"{path}: there is no such file of weights.")
    try:
        # Not mapped: a program that writes over the file would take this one down with it.
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{path}: cannot be read as weights; it is truncated, damaged or no checkpoint "
            f"({(str(error) or type(error).__name__).splitlines()[0][:120]}). Get the file again."
        ) from error
