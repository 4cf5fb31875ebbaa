"""The tables of the study, in Markdown, with scores in percent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from phaseguide.studies.guidance.asking import ASKS, GUESSES, OTHER, Ask
from phaseguide.studies.guidance.places import SCOPES
from phaseguide.studies.report import fixed, plain_table, section, table

PUBLISHED_BREAK_EVEN = 0.662
"""Accuracy of the guess at which the published module is worth as much as none."""

Numbers = Mapping[str, Any]

_TITLES = {
    "oracle": "true",
    "train-mean": "training mean",
    OTHER: OTHER,
    **{f"guess:{a:g}": f"G {a:g}" for a in GUESSES},
}


def to_lines(numbers: Numbers) -> list[str]:
    """Return all tables: the networks, then for fields and windows Dice, differences and responses."""
    conditions = numbers["conditions"]
    lines = section("Networks", _networks(conditions))
    for scope in SCOPES:
        where = "whole fields" if scope == "fields" else f"windows of {numbers['judging']['side']} px"
        lines += section(f"Dice on {where}, pooled", _dice(conditions, scope))
        lines += section(f"Differences on {where}, image by image (95 %)", _differences(conditions, scope))
        lines += section(f"By conditioning alone, {where}", _responses(conditions, scope))
    return lines


def _networks(conditions: list[Numbers]) -> list[str]:
    return table(
        {
            "condition": lambda c: f"`{c['name']}`",
            "trained": lambda c: c["what"],
            "folds and seeds": lambda c: " ".join(c["cells"]),
            "parameters, M": lambda c: fixed(c["parameters"], 2, 1e-6),
            "of guidance": lambda c: fixed(c["of_guidance"], 2, 1e-6) if c["of_guidance"] else None,
            "γ": lambda c: _gauge(c, "gamma"),
            "δ": lambda c: _gauge(c, "delta"),
        },
        conditions,
    )


def _gauge(condition: Numbers, name: str) -> str | None:
    """Mean over the scales of a module."""
    values = [value for key, value in condition["gauges"].items() if key.rpartition(".")[2] == name]
    return fixed(sum(values) / len(values), 2) if values else None


def _dice(conditions: list[Numbers], scope: str) -> list[str]:
    titles = ["condition", "ratio acts", "none", *map(_title, ASKS), "break-even to none", "to unguided"]
    lines = []
    wrong: dict[Ask, str | None] = {}
    for condition in conditions:
        found = condition[scope]
        rows = {(r["source"], r["uncertainty"], r["mode"]): r for r in found["rows"]}
        none = rows["none", 0.0, None]
        for number, (mode, even) in enumerate(found["break_even"].items()):
            asked = [rows.get((ask.source, ask.uncertainty, mode)) for ask in ASKS]
            wrong |= {a: fixed(r["variation"], 1, 100) for a, r in zip(ASKS, asked, strict=True) if r}
            lines.append(
                [
                    None if number else f"`{condition['name']}`",
                    mode,
                    None if number else fixed(none["dice"], 1, 100),
                    *(None if row is None else fixed(row["dice"], 1, 100) for row in asked),
                    _even(even["to_itself"]),
                    _even(even["to_unguided"]) if condition["unguided"] else None,
                ]
            )
    published = f"{100 * PUBLISHED_BREAK_EVEN:.1f}"
    error = ["total variation of the ratio, %", None, None, *(wrong.get(ask) for ask in ASKS), None, None]
    return plain_table(titles, [*lines, error, ["published", *[None] * (len(titles) - 2), published]])


def _title(ask: Ask) -> str:
    if ask.source.startswith("expert:"):
        stated = f"stated {ask.uncertainty:g}" if ask.uncertainty else "exact"
        return f"expert {100 * float(ask.source.partition(':')[2]):g} %, {stated}"
    return _TITLES[ask.source]


def _even(accuracy: float | None) -> str:
    if accuracy is None:
        return "never"
    return f"under {100 * accuracy:.0f}" if accuracy <= GUESSES[-1] else f"{100 * accuracy:.1f}"


def _differences(conditions: list[Numbers], scope: str) -> list[str]:
    wanted = (Ask("oracle"), Ask("expert:0.1"), Ask("expert:0.1", 0.1), Ask("guess:0.7"), Ask(OTHER))
    titles = ["condition", "ratio", "ratio acts", "to no ratio", "to the unguided network"]

    def lines() -> Iterator[list[object]]:
        for condition in conditions:
            rows = condition[scope]["rows"]
            shown = f"`{condition['name']}`"
            for row in rows:
                ask = Ask(row["source"], row["uncertainty"])
                without = row["source"] == "none"
                if (without and condition["unguided"]) or ask in wanted:
                    name = "none" if without else _title(ask)
                    pairs = (_pair(row["to_itself"]), _pair(row["to_unguided"]))
                    yield [shown, name, row["mode"], *pairs]
                    shown = ""

    return plain_table(titles, lines())


def _pair(paired: Numbers | None) -> str | None:
    if paired is None:
        return None
    mean, low, high = (100 * paired[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}; n = {paired['n']})"


def _responses(conditions: list[Numbers], scope: str) -> list[str]:
    def cell(start: str, kind: str) -> Callable[[Numbers], str | None]:
        return lambda c: fixed(c[scope]["response"][start][kind], 2)

    return table(
        {
            "condition": lambda c: f"`{c['name']}`",
            "area, from its own": cell("own", "area"),
            "mean probability, from its own": cell("own", "probability"),
            "area, from the true": cell("true", "area"),
            "mean probability, from the true": cell("true", "probability"),
        },
        [c for c in conditions if c[scope]["response"]],
    )
