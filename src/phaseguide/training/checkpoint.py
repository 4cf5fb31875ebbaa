"""Checkpoints: everything a run needs to go on bit for bit, in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from phaseguide.atomic import write_bytes
from phaseguide.errors import TrainingError

_KEY = "phaseguide_checkpoint"


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    state: dict[str, Any],
) -> None:
    """Write a checkpoint; the one before survives until this one is complete.

    Parameters
    ----------
    path : Path
    modules : dict of str to Module
        Model, averaged model, best model.
    optimiser : Optimizer
    generator : torch.Generator
        The run's own source of randomness.
    state : dict
        JSON-compatible: position in the run, history, configuration.
    """
    tensors: dict[str, Tensor] = {"generator": generator.get_state()}
    for prefix, module in modules.items():
        for name, tensor in module.state_dict().items():
            tensors[f"{prefix}/{name}"] = tensor.detach().cpu().contiguous().clone()
    inner = optimiser.state_dict()
    for index, slots in inner["state"].items():
        for name, value in slots.items():
            tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    text = json.dumps({**state, "param_groups": inner["param_groups"]}, sort_keys=True)
    write_bytes(path, save(tensors, metadata={_KEY: text}))


def load_checkpoint(
    path: Path,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and state.

    Raises
    ------
    TrainingError
        Not a checkpoint, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        state = json.loads(text) if text else None
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: this checkpoint cannot be read ({error}). Delete it to start afresh."
        ) from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path}: not a training checkpoint. Delete it or choose another name.")
    return tensors, state


def restore(
    tensors: dict[str, Tensor],
    state: dict[str, Any],
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    """Put everything back where `save_checkpoint` took it from."""
    generator.set_state(tensors["generator"])
    for prefix, module in modules.items():
        module.load_state_dict(
            {n.removeprefix(f"{prefix}/"): t for n, t in tensors.items() if n.startswith(f"{prefix}/")}
        )
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser/"):
            _, index, slot = name.split("/")
            slots.setdefault(int(index), {})[slot] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
