"""Base weights in memory: read once a process, shared by every model that adapts them, never changed."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from phaseguide.errors import WeightsTooLargeError, is_out_of_memory
from phaseguide.models.sam.checkpoint import ENCODER, build_official, read_checkpoint
from phaseguide.models.sam.encoder import build_encoder, encoder_tensors
from phaseguide.models.sam.shapes import SamShape

KEPT = 1
"""Bases that stay in memory when no model uses them, so that switching models does not read them again."""


class BaseWeights:
    """The weights that adapters sit on: the encoder under timm's names, the rest under official ones, on the CPU.

    The checksum is that of the file; empty for random weights.
    """

    def __init__(
        self, shape: SamShape, sha256: str, encoder: dict[str, Tensor], official: dict[str, Tensor]
    ) -> None:
        self.shape, self.sha256, self.official = shape, sha256, official
        self._on: dict[torch.device, dict[str, Tensor]] = {torch.device("cpu"): encoder}

    @property
    def encoder(self) -> dict[str, Tensor]:
        """Tensors of the encoder on the CPU."""
        return self._on[torch.device("cpu")]

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """Tensors of the encoder on a device; copied there once."""
        if device not in self._on:
            try:
                # Made under inference mode, they could not be learnt through later.
                with torch.inference_mode(False):
                    self._on[device] = {name: t.to(device) for name, t in self.encoder.items()}
            except (RuntimeError, MemoryError) as error:
                raise _too_large(error, self.shape) from error
        return self._on[device]

    def leave(self, device: torch.device) -> None:
        """Keep no copy on a device other than the CPU; models that use one hold it as long as they need it."""
        if device.type != "cpu":
            self._on.pop(device, None)


_bases: OrderedDict[tuple[str, str], BaseWeights] = OrderedDict()
_lock = Lock()


def _too_large(error: Exception, shape: SamShape) -> Exception:
    """Return what to raise where weights could not be had: a smaller image would not help."""
    if not is_out_of_memory(error):
        return error
    return WeightsTooLargeError(f"the base weights of {shape.name} do not fit into memory")


def open_base(shape: SamShape, sha256: str) -> BaseWeights:
    """Return the base with this checksum, from memory or from the place where its file lies.

    Raises `ModelError` where that is not there (see `phaseguide.models.sam.weights.find_base`), or is damaged.
    """
    with _lock:
        key = (shape.name, sha256)
        if key not in _bases:
            _bases[key] = _read(shape, sha256)
        _bases.move_to_end(key)
        while len(_bases) > KEPT:
            _bases.popitem(last=False)
        return _bases[key]


def _read(shape: SamShape, sha256: str) -> BaseWeights:
    from phaseguide.models.sam.weights import find_read_anew

    path: Path = find_read_anew(sha256)
    try:
        state = read_checkpoint(path, shape)
    except (RuntimeError, MemoryError) as error:
        raise _too_large(error, shape) from error
    rest = {name: t for name, t in state.items() if not name.startswith(ENCODER)}
    return BaseWeights(shape, sha256, encoder_tensors(state), rest)


def random_base(shape: SamShape) -> BaseWeights:
    """Return fresh weights from torch's random numbers: for speed and memory, never for a model that is kept."""
    tensors = {name: t.detach() for name, t in build_encoder(shape).state_dict().items()}
    for name, tensor in tensors.items():
        if name == "pos_embed" or ".rel_pos_" in name:
            torch.nn.init.trunc_normal_(tensor, std=0.02)  # zeros would hide an error in resampling
    with torch.device("meta"):
        names = build_official(shape).state_dict().keys()
    fresh = _fresh_official(shape)
    return BaseWeights(shape, "", tensors, {n: fresh[n] for n in names if not n.startswith(ENCODER)})


def _fresh_official(shape: SamShape) -> dict[str, Tensor]:
    """Fresh weights of the official decoder and prompt encoder; a shallow encoder saves the time of a deep one."""
    from dataclasses import replace

    return dict(build_official(replace(shape, depth=1, width=16, heads=1, global_blocks=(0,))).state_dict())
