"""Checkpoints of a fine-tuning run, and what can be told of one before it is taken up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import UNKNOWN_THEN, FinetuneConfig, config_of_then
from phaseguide.finetuning.judging.judge import Judge
from phaseguide.finetuning.learner import Learner
from phaseguide.training.checkpoint import load_checkpoint, restore, save_checkpoint

IDENTITY = ("config", "model", "data")
REASONS = {
    "config": "other settings",
    "model": "another model to start from",
    "data": "other labels, ratios or images",
}


@dataclass(frozen=True)
class Interrupted:
    """A run that can go on: its name, the model it started from, how far it came, and its settings."""

    name: str
    start: str
    epoch: int
    epochs: int
    config: FinetuneConfig


def save_position(path: Path, learner: Learner, judge: Judge, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; the one before survives until this one is complete."""
    plain = {
        **state,
        "history": [dataclasses.asdict(h) for h in state["history"]],
        "folds": judge.state(),
    }
    modules = {**learner.modules(), **judge.modules()}
    beside = [(fold.optimiser, fold.generator) for fold in judge.learners]
    save_checkpoint(path, modules, learner.optimiser, learner.generator, plain, beside)


def load_position(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint, and check that it belongs to this run.

    `TrainingError` for a damaged one, or one of a run with other settings, labels or start.
    """
    return _read(path, identity)[1]


def take_position(path: Path, identity: Mapping[str, Any], learner: Learner, judge: Judge) -> dict[str, Any]:
    """The same, and put a learner, and the fits that judge it, where they were."""
    tensors, state = _read(path, identity)
    modules = {**learner.modules(), **judge.modules()}
    beside = [(fold.optimiser, fold.generator) for fold in judge.learners]
    restore(tensors, state, modules, learner.optimiser, learner.generator, beside)
    for one in (learner, *judge.learners):
        one.slowed = 0.1 ** state["setbacks"]
    judge.restore(state.get("folds", []))
    return state


def _read(path: Path, identity: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, state = load_checkpoint(path)
    # A run of an earlier version knows none of the settings that have come since; what it follows is only told.
    usual = {**FinetuneConfig().to_dict(), **UNKNOWN_THEN, "protocol": identity["config"]["protocol"]}
    was = {**state, "config": {**usual, **state.get("config", {})}}
    other = [REASONS[key] for key in IDENTITY if was.get(key) != identity[key]]
    if other:
        raise TrainingError(
            f"{path.name}: is of a run with {' and '.join(other)}. Start afresh (--fresh on the command line), "
            "or bring back what it had."
        )
    return tensors, state


def read_interrupted(path: Path) -> Interrupted | None:
    """Tell what a checkpoint is of; None where there is none or it cannot be read."""
    if not path.exists():
        return None
    try:
        _, state = load_checkpoint(path)
        return Interrupted(
            str(state["name"]),
            str(state["start"]),
            len(state["history"]),
            int(state["config"]["epochs"]),
            config_of_then(state["config"]),
        )
    except (TrainingError, KeyError, TypeError, ValueError):
        return None
