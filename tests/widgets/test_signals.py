"""What signals carry arrives as it was sent, with either binding of Qt."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QObject, Qt, Signal

import phaseguide.widgets

PLAIN = {"bool", "int", "str", "object"}
"""PySide6 turns a dict, a list or a set into one of its own, which loses keys that are no text; and a float type
takes a numpy number as another. What is none of these travels as ``object``, untouched."""

SOURCES = sorted(Path(phaseguide.widgets.__file__).parent.rglob("*.py"))


def signals() -> Iterator[tuple[str, list[str]]]:
    """Every declaration of a signal, and the types that it names."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
                "Signal",
                "pyqtSignal",
            ):
                told = [*node.args, *(word.value for word in node.keywords)]
                yield f"{path.name}:{node.lineno}", [ast.unparse(one) for one in told]


def test_signals_carry_plain_values_or_objects() -> None:
    declared = list(signals())
    assert len(declared) > 50
    assert [place for place, types in declared if not set(types) <= PLAIN] == []


class Teller(QObject):
    told = Signal(object)


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        {1: 1, 2: 1, 3: 2},
        {("a", 1): None},
        {1, "two", (3,)},
        (1, "two", None, 2.5),
        [],
        None,
        2**70,
        np.float32(0.1),
        np.arange(3),
    ],
    ids=["numbers", "tuple as key", "set", "tuple", "list", "none", "large", "float32", "array"],
)
def test_an_object_arrives_as_it_is(value: Any, queued: bool, qtbot: Any) -> None:
    kind = Qt.ConnectionType.QueuedConnection if queued else Qt.ConnectionType.DirectConnection
    teller, heard = Teller(), []
    teller.told.connect(heard.append, kind)
    teller.told.emit(value)
    qtbot.waitUntil(lambda: bool(heard))
    assert heard[0] is value
