"""Scripts that make pictures and samples run seldom; what they import must be there all the same."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PICTURES = sorted((ROOT / "docs" / "make").glob("*.py"))
SCRIPTS = [*PICTURES, *sorted((ROOT / "scripts").glob("*.py"))]


def own_imports(file: Path) -> Iterator[tuple[str, str]]:
    """Every module and name that a script takes from Phase Guide, also within its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "phaseguide":
            for alias in node.names:
                yield node.module or "", alias.name


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_what_a_script_imports_is_there(file: Path) -> None:
    for module, name in own_imports(file):
        assert hasattr(importlib.import_module(module), name), f"{file.name}: {module} has no {name}"


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.name)
def test_a_script_of_pictures_says_what_it_does(file: Path) -> None:
    done = subprocess.run([sys.executable, str(file), "--help"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "--out" in done.stdout
