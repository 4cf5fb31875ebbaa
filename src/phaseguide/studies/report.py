"""How every study tells what it measured: tables in Markdown for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from phaseguide.cli.shared.output import page, write_json

Row = TypeVar("Row")


def publish(lines: Iterable[str], numbers: Mapping[str, Any], json_target: str | None) -> None:
    """Print a report, and write its numbers as JSON where they are asked for."""
    page(json_target).print(to_text(lines), soft_wrap=True)
    write_json(json_target, numbers)


def to_text(lines: Iterable[str]) -> str:
    """Join lines of Markdown into a text that ends with one line break."""
    return "\n".join(lines).rstrip() + "\n"


def table(columns: Mapping[str, Callable[[Row], object]], rows: Iterable[Row]) -> list[str]:
    """Return the lines of a table: by the title of a column, what stands there for a row; None is an empty cell."""
    return plain_table(list(columns), ([cell(row) for cell in columns.values()] for row in rows))


def plain_table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a table whose cells are there already, none where there is no row; None is an empty cell."""
    lines = [titles, *rows]
    if len(lines) == 1:
        return []
    found = ["| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines]
    return [found[0], "|" + "---|" * len(titles), *found[1:]]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines under a title in bold; nothing where there are none."""
    return ["", f"**{title}**", "", *lines] if lines else []


def set_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Return the lines that say which settings were given over those of a study, none where none was."""
    changed = {name: value for name, value in numbers["set"].items() if name != "device"}
    return (
        ["", f"Set over all conditions: {', '.join(f'{n} = {v}' for n, v in changed.items())}."]
        if changed
        else []
    )


def number(value: float | None, scale: float = 1) -> str | None:
    """Write a number with three digits, or all before the point where there are more."""
    if value is None:
        return None
    value *= scale
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def fixed(value: float | None, digits: int, scale: float = 1) -> str | None:
    """Write a number with so many digits after the point."""
    return None if value is None else f"{scale * value:.{digits}f}"


def machine_line(machine: Mapping[str, Any], *more: str) -> str:
    """Say in a line what the numbers of a report depend on."""
    threads = machine["threads"]
    parts = (
        machine["processor"],
        f"{machine['cores']} cores",
        f"{threads} thread{'' if threads == 1 else 's'}",
        machine["gpu"] or "no GPU",
        f"torch {machine['torch']}",
    )
    return ", ".join((*parts, *more))
