"""The house stays small: no circle of imports, no file and no folder that holds too much."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "phaseguide"
MOST_LINES, MOST_FILES = 400, 22


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Which module of the package imports which, also inside functions and under ``TYPE_CHECKING``."""
    files = {module_of(file): file for file in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        targets: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name.removeprefix("phaseguide.") for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("phaseguide"):
                base = str(node.module).removeprefix("phaseguide").removeprefix(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".removeprefix(".")
                    targets.add(inner if inner in files else base)
        found[module] = {target for target in targets if target in files} - {
            module,
            "",
        }  # the face imports nothing
    return found


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Every group of modules that import each other, directly or by way of others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for target in edges[todo.pop()] - seen:
                seen.add(target)
                todo.append(target)
        return seen

    ahead = {module: reached(module) for module in edges}
    groups = [
        frozenset(other for other in ahead[module] if module in ahead[other])
        for module in edges
        if module in ahead[module]
    ]
    return [set(group) for group in dict.fromkeys(groups)]


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [{"b", "c"}]


def test_no_circle_of_imports() -> None:
    assert circles(graph()) == []


def test_no_file_is_too_long() -> None:
    lengths = {module_of(f): len(f.read_text(encoding="utf-8").splitlines()) for f in PACKAGE.rglob("*.py")}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_folder_is_too_full() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    sizes = {folder.relative_to(PACKAGE).as_posix(): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}
