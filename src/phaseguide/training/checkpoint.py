"""Checkpoints: everything a run needs to go on bit for bit, in one safetensors file with a checksum over all of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from phaseguide.errors import TrainingError
from phaseguide.files.atomic import check_writable, write_bytes
from phaseguide.files.foreign import free_path, open_plain
from phaseguide.files.json_files import parse_json
from phaseguide.models.checksums import tensors_sha256

_KEY = "phaseguide_checkpoint"
_SUM = "sha256"
_WHERE_KEY = 65_536
"""Metadata come first in a safetensors file."""

Beside = Sequence[tuple[torch.optim.Optimizer, torch.Generator]]
"""Optimiser and generator of each fit that runs beside the one that a checkpoint is of."""


class DamagedCheckpointError(TrainingError):
    """A checkpoint that is not what was written: nothing can go on from it."""


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    state: dict[str, Any],
    beside: Beside = (),
) -> None:
    """Write a checkpoint; the one before survives until this one is complete.

    The generator is the run's own source of randomness, ``state`` holds JSON values: position in the run, history,
    configuration.
    """
    tensors: dict[str, Tensor] = {"generator": generator.get_state()}
    for prefix, module in modules.items():
        for name, tensor in module.state_dict().items():
            tensors[f"{prefix}/{name}"] = tensor.detach().cpu().contiguous().clone()
    groups = {"param_groups": _add_optimiser(tensors, "optimiser", optimiser)}
    for number, (one, draws) in enumerate(beside):
        tensors[f"generator{number}"] = draws.get_state()
        groups[f"param_groups{number}"] = _add_optimiser(tensors, f"optimiser{number}", one)
    text = json.dumps({**state, **groups}, sort_keys=True, allow_nan=False)
    write_bytes(path, save(tensors, metadata={_KEY: text, _SUM: _checksum(tensors, text)}))


def _add_optimiser(tensors: dict[str, Tensor], key: str, optimiser: torch.optim.Optimizer) -> Any:
    """Add the tensors of an optimiser under a key, and return its groups, which are JSON values."""
    inner = optimiser.state_dict()
    for index, slots in inner["state"].items():
        for name, value in slots.items():
            tensors[f"{key}/{index}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    return inner["param_groups"]


def load_checkpoint(
    path: Path,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and state.

    `DamagedCheckpointError` if it is not as it was written; `TrainingError` if it cannot be read, or is some other
    file, which must stay what it is.
    """
    try:
        with open_plain(path) as raw:
            if _KEY.encode() not in raw.read(_WHERE_KEY):
                raise TrainingError(
                    f"{path}: is no training checkpoint, so it stays as it is. Choose another name for the checkpoint."
                )
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        text = told.get(_KEY, "")
        state = parse_json(text) if text else None
    except OSError as error:
        raise TrainingError(
            f"{path}: this checkpoint cannot be read ({error.strerror or error}). Choose another name for it."
        ) from error
    except (SafetensorError, ValueError) as error:
        raise DamagedCheckpointError(f"{path}: this checkpoint is damaged ({error}).") from error
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"{path}: this checkpoint is damaged (it holds no state).")
    if told.get(_SUM) != _checksum(tensors, text):
        raise DamagedCheckpointError(
            f"{path}: this checkpoint is damaged, or of an older version (its checksum is not right)."
        )
    return tensors, state


def set_aside(path: Path) -> Path:
    """Rename a checkpoint that cannot be used, so that nothing is lost, and return its new name."""
    aside = free_path(path.with_name(f"{path.stem}-unused{path.suffix}"))
    try:
        path.rename(aside)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be renamed ({error.strerror or error}). Move it away, or choose another name."
        ) from error
    return aside


def check_room(path: Path, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
    """Raise `PhaseguideError` where a checkpoint of these cannot be written, or does not fit on the disk.

    The optimiser has done a step. An older file of the name stays until the new one is complete.
    """
    check_writable(path)
    slots = [torch.as_tensor(v) for slot in optimiser.state_dict()["state"].values() for v in slot.values()]
    tensors = [t for m in modules.values() for t in m.state_dict().values()] + slots
    needed = sum(t.numel() * t.element_size() for t in tensors)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise TrainingError(
            f"{path}: a checkpoint of this run takes {needed / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free there. "
            "Free some space, or choose another folder."
        )


def sweep(path: Path) -> None:
    """Remove what a program that was killed while it wrote this checkpoint has left beside it."""
    for left in path.parent.glob(f".{escape(path.stem)}-????????{escape(path.suffix)}"):
        with suppress(OSError):
            left.unlink()


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    return hashlib.sha256(f"{tensors_sha256(tensors)}|{text}".encode()).hexdigest()


def restore(
    tensors: dict[str, Tensor],
    state: dict[str, Any],
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    beside: Beside = (),
) -> None:
    """Put everything back where `save_checkpoint` took it from."""
    generator.set_state(tensors["generator"])
    for prefix, module in modules.items():
        module.load_state_dict(
            {n.removeprefix(f"{prefix}/"): t for n, t in tensors.items() if n.startswith(f"{prefix}/")}
        )
    _load_optimiser(tensors, "optimiser", optimiser, state["param_groups"])
    for number, (one, draws) in enumerate(beside):
        draws.set_state(tensors[f"generator{number}"])
        _load_optimiser(tensors, f"optimiser{number}", one, state[f"param_groups{number}"])


def _load_optimiser(
    tensors: dict[str, Tensor], key: str, optimiser: torch.optim.Optimizer, groups: Any
) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{key}/"):
            _, index, slot = name.split("/")
            slots.setdefault(int(index), {})[slot] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": groups})
