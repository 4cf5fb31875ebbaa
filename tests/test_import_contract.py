"""The order of the house: who may import whom, where Qt may live, and what `import phaseguide` costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "phaseguide"

ORDER = (
    "errors", "plain_text", "events", "control", "option_values", "settings", "files", "folders", "phases", "labels",
    "phase_edits", "ratios", "micrographs", "datasets", "models", "segmentation", "estimation", "projects",
    "evaluation", "training", "finetuning", "jobs", "cli", "widgets", "studies",
)  # fmt: skip
ROOMS = (
    "qt",
    "layers",
    "ratio",
    "point_count",
    "inside",
    "segment",
    "project",
    "finetune",
    "strokes",
    "models",
    "workbench",
)
"""The rooms of ``widgets``; what stands beside them starts napari or is called by it, and may use them all."""

OUTERMOST = ("cli", "widgets", "studies")
"""Nothing imports these, but for the studies: they measure commands and windows."""

GUI = {"napari", "qtpy", "superqt", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6"}

LIVE_VIEWER = PACKAGE / "studies" / "speed" / "live_viewer.py"
"""Measures a real viewer in a process of its own."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """The part of the house a file belongs to; empty for the package itself."""
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first in ("__init__", "__main__") else first


def imported(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Every module that a file imports anywhere, also inside functions, by its full name.

    ``package`` is where relative imports start. A name that is imported from a module is given as
    if it were a module below it, since it may be one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


@cache
def imports_of(file: Path) -> list[tuple[int, str]]:
    package = list(file.relative_to(PACKAGE.parent).parent.parts)
    return list(imported(ast.parse(file.read_text(encoding="utf-8")), package))


def test_the_walk_sees_every_form_of_import() -> None:
    code = """
import phaseguide.training
from phaseguide import widgets
from ..models import card
def later():
    from . import session
    importlib.import_module("phaseguide.cli")
"""
    found = {name for _, name in imported(ast.parse(code), ["phaseguide", "segmentation"])}
    assert found == {
        "phaseguide.training", "phaseguide.widgets", "phaseguide.models.card",
        "phaseguide.segmentation.session", "phaseguide.cli",
    }  # fmt: skip


def named(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def breach(file: Path, name: str) -> str:
    """What is wrong with an import of one of our modules by the order of the house; empty if nothing is."""
    part, target = part_of(file), name.split(".")
    if target[0] != "phaseguide" or len(target) < 2 or target[1] not in ORDER:
        return ""
    if not part:
        return "only the public face may"
    if target[1] in OUTERMOST and part not in (target[1], "studies"):
        return f"nothing of the product imports {target[1]}"
    return f"{target[1]} lies below {part}" if ORDER.index(target[1]) > ORDER.index(part) else ""


def test_every_part_has_a_place_in_the_order() -> None:
    assert [named(file) for file in MODULES if part_of(file) and part_of(file) not in ORDER] == []


def test_a_breach_of_the_order_is_seen() -> None:
    card = PACKAGE / "models" / "card.py"
    assert (
        breach(card, "phaseguide.phases")
        == breach(card, "phaseguide.models.zoo")
        == breach(card, "numpy")
        == ""
    )
    assert breach(PACKAGE / "studies" / "speed.py", "phaseguide.widgets.qt") == ""
    assert breach(card, "phaseguide.segmentation.session") == "segmentation lies below models"
    assert breach(card, "phaseguide.cli") == "nothing of the product imports cli"
    assert breach(PACKAGE / "__main__.py", "phaseguide.cli") == "only the public face may"


def test_a_module_imports_only_from_those_above() -> None:
    """The public face names modules for checkers; it loads none by itself."""
    found = [
        f"{named(file)}:{line} imports {name}: {wrong}"
        for file in MODULES
        if file != PACKAGE / "__init__.py"
        for line, name in imports_of(file)
        if (wrong := breach(file, name))
    ]
    assert found == []


def room_of(parts: list[str]) -> int:
    """How far from the door of ``widgets`` a module is, given as the parts of its name below ``widgets``."""
    return ROOMS.index(parts[0]) if parts and parts[0] in ROOMS else len(ROOMS)


def test_a_room_of_widgets_imports_only_from_those_before() -> None:
    found = []
    for file in sorted((PACKAGE / "widgets").rglob("*.py")):
        here = room_of(list(file.relative_to(PACKAGE / "widgets").with_suffix("").parts))
        for line, name in imports_of(file):
            if not name.startswith("phaseguide.widgets."):
                continue
            room = name.split(".")[2:]
            if (room[0] in ROOMS or here < len(ROOMS)) and room_of(room) > here:
                found.append(f"{named(file)}:{line} imports {name} from a later room")
    assert found == []


def test_the_room_of_qt_knows_nothing_of_phases() -> None:
    known = {"errors", "events", "control", "settings"}
    found = [
        f"{named(file)}:{line} imports {name}"
        for file in sorted((PACKAGE / "widgets" / "qt").glob("*.py"))
        for line, name in imports_of(file)
        if name.startswith("phaseguide.")
        and not name.startswith("phaseguide.widgets.qt.")
        and name.split(".")[1] not in known
    ]
    assert found == []


def test_only_widgets_import_gui_packages() -> None:
    found = [
        f"{named(file)}:{line} imports {name}"
        for file in MODULES
        if part_of(file) != "widgets" and file != LIVE_VIEWER
        for line, name in imports_of(file)
        if name.split(".")[0] in GUI
    ]
    assert found == []


def run(code: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light() -> None:
    code = """
import phaseguide
import sys
heavy = {"torch", "napari", "numpy", "scipy", "matplotlib", "pandas", "timm"}
print(*(name for name in sys.modules if name in heavy or name.startswith("phaseguide.")))
"""
    assert run(code).split() == []


HEAVY = (
    "torch", "torchvision", "timm", "segmentation_models_pytorch",
    "scipy.ndimage", "scipy.optimize", "sklearn.ensemble",
    "skimage.feature", "pandas", "matplotlib.figure", "typer", "rich.table", "pydantic", "requests",
)  # fmt: skip
"""What is imported once, before the parts: others' modules, which take the time and import nothing of ours."""

EVERY_PART = """
import importlib, os, sys, traceback
parts, heavy = eval(sys.argv[1])
failed = []
for name in heavy:
    try:
        importlib.import_module(name)
    except ImportError:  # the part that needs it will say so
        pass
assert not any(name.split(".")[0] == "phaseguide" for name in sys.modules)
for part, names in parts.items():
    child = os.fork() if hasattr(os, "fork") else None
    if child:
        failed += [part] if os.waitpid(child, 0)[1] else []
        continue
    try:
        for name in names:
            importlib.import_module(name)
    except BaseException:
        traceback.print_exc()
        failed.append(part)
    if child == 0:
        sys.stderr.flush()
        os._exit(bool(failed))
sys.exit(f"these parts do not import: {failed}" if failed else 0)
"""


def test_nothing_but_widgets_needs_a_screen() -> None:
    """Every module of a part imports with all GUI packages blocked, and none of the other parts imported before."""
    parts: dict[str, list[str]] = {part: [] for part in ORDER if part != "widgets"}
    for file in MODULES:
        if part_of(file) in parts and file != LIVE_VIEWER:
            name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
            parts[part_of(file)].append(name.removesuffix(".__init__"))
    assert all(parts.values())
    blocked = f"import sys\nfor name in {sorted(GUI)}: sys.modules[name] = None\n"
    run(blocked + EVERY_PART, repr((parts, HEAVY)))


def test_manifest_at_the_top_links_to_the_one_in_the_package() -> None:
    link = ROOT / "napari.yaml"
    if link.is_symlink():
        assert os.readlink(link).replace(os.sep, "/") == "src/phaseguide/napari.yaml"
        assert link.resolve() == PACKAGE / "napari.yaml"
    else:  # a checkout on Windows holds the target's name as text
        assert link.read_text(encoding="utf-8").strip() == "src/phaseguide/napari.yaml"


def test_manifest_is_valid_and_named_as_the_distribution() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")
    assert (manifest.name, manifest.display_name) == ("napari-phaseguide", "Phase Guide")
