"""Behaviour that users and other programs rely on, held in ``held/``.

``pytest tests/behaviour --update-behaviour`` writes it anew; ``git diff tests/behaviour/held`` then
shows what has changed, for CHANGELOG.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiny_models import tiny_model

HELD = Path(__file__).parent / "held"


SHARES_MAY_DIFFER = 5e-4
"""From one kind of processor to another."""


def alike(before: Any, now: Any) -> bool:
    """Whether two JSON values are the same, numbers with a fraction nearly so; the order of keys counts."""
    if isinstance(before, float) and isinstance(now, float):
        return abs(before - now) <= SHARES_MAY_DIFFER
    if isinstance(before, dict) and isinstance(now, dict):
        return list(before) == list(now) and all(alike(before[key], now[key]) for key in before)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(alike, before, now))
    return type(before) is type(now) and bool(before == now)


@pytest.fixture(scope="session")
def updating(pytestconfig: pytest.Config) -> bool:
    """Whether this run writes what is held, rather than comparing with it."""
    return bool(pytestconfig.getoption("--update-behaviour"))


@pytest.fixture
def held(updating: bool) -> Callable[[str, dict[str, Any]], None]:
    """Compare a table of what the program does with ``held/NAME.json``, or write it."""

    def compare(name: str, now: dict[str, Any]) -> None:
        path = HELD / f"{name}.json"
        if updating:
            path.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(now))
        differ = [key for key in {**before, **now} if not alike(before.get(key), now.get(key))]
        told = [f"{key}:\n  held {before.get(key)}\n  now  {now.get(key)}" for key in differ]
        assert not told, f"held/{name}.json differs\n" + "\n".join(told)

    return compare


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with random weights, on the encoder with which the behaviour was first held."""
    return tiny_model(tmp_path_factory.mktemp("tiny"), encoder="tu-tf_efficientnet_lite0")
