"""What `import phaseguide` offers to a script: each name there, and loaded only when it is asked for."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from importlib import import_module
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


RUN_EACH = """
import os, sys
from pathlib import Path
for folder in sys.argv[1:]:
    os.chdir(folder)
    exec(compile(Path("page.py").read_text(encoding="utf-8"), folder, "exec"), {"__name__": "__main__"})
    print("end of", folder)
"""


def test_the_examples_run(tmp_path: Path) -> None:
    """The examples on a page, one after the other, are a program that works as it stands."""
    folders = []
    for page in ("README.md", "docs/python.md"):
        folder = tmp_path / Path(page).stem
        folder.mkdir()
        shutil.copy(phaseguide.open_sample("uhcs0220").image_path, folder / "field.tif")
        text = (ROOT / page).read_text(encoding="utf-8")
        code = "".join(part.split("```")[0] for part in text.split("```python\n")[1:])
        (folder / "page.py").write_text(code, encoding="utf-8")
        folders.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH, *folders],
        env={**os.environ, "PYTHONPATH": str(FACE.parents[1])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout
    for folder in folders:
        own, end, told = told.partition(f"end of {folder}\n")
        assert end and "0.7" in own, folder


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("phaseguide.models.sam.base_weights", "find_base"),
        ("phaseguide.segmentation.look_inside", "look_inside"),
    ],
)
def test_names_of_the_version_before_work_with_a_warning(old: str, name: str) -> None:
    module = import_module(old)
    with pytest.warns(DeprecationWarning, match=f"{old} is .* now"):
        assert callable(getattr(module, name))
