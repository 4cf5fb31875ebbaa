"""What `import phaseguide` offers to a script: each name there, and loaded only when it is asked for."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import phaseguide

ROOT = Path(__file__).resolve().parents[1]
FACE = ROOT / "src" / "phaseguide" / "__init__.py"


@pytest.mark.parametrize("name", phaseguide.__all__)
def test_each_name_is_there_and_listed(name: str) -> None:
    assert getattr(phaseguide, name) is not None
    assert name in dir(phaseguide)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        phaseguide.Sesion  # noqa: B018  # the access is what is tested


def test_checkers_see_what_is_loaded() -> None:
    """The imports for type checkers and documentation name the same homes as those at run time."""
    seen = {
        alias.name: node.module
        for node in ast.walk(ast.parse(FACE.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in phaseguide.__all__
    }
    assert seen == phaseguide._HOMES
    assert set(seen) == set(phaseguide.__all__) - {"__version__"}


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_examples_run(page: str, tmp_path: Path) -> None:
    """The examples on a page, one after the other, are a program that works as it stands."""
    shutil.copy(phaseguide.open_sample("uhcs0220").image_path, tmp_path / "field.tif")
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "".join(part.split("```")[0] for part in text.split("```python\n")[1:])
    environment = {**os.environ, "PYTHONPATH": str(FACE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "0.7" in done.stdout
