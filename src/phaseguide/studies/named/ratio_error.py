"""``study ratio-error``: what a ratio is worth by how wrong it is, to networks that were told it in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phaseguide.events import Finished
from phaseguide.studies.guidance.asking import ASKS, EXPERTS, GUESSES, OTHER, OWN, WITHOUT, Ask
from phaseguide.studies.guidance.conditions import VARIED, Guided, asked_conditions, names_of
from phaseguide.studies.guidance.judged import Cells, cells_of, judge_networks
from phaseguide.studies.guidance.judging import judging_of
from phaseguide.studies.guidance.places import SCOPES
from phaseguide.studies.guidance.summary import network, ratio_rows
from phaseguide.studies.networks.comparison import check_varied
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import passed
from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.networks.tables import NOT_RUN, difference
from phaseguide.studies.report import fixed, plain_table, section, table
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED_BREAK_EVEN = 0.662
"""Accuracy of the guess at which the published module is worth as much as none."""

SOURCE = (
    "Published: a guess is worth as much as no ratio at an accuracy of 66.2 % (Phase Learning Module, ICLR 2025 "
    'submission; "at least 60 %" in the abstract of WACV 2026). There the ratio was always shown in training and one '
    "split tested, of about three or four images; how Dice is averaged, its spread, and whether *no ratio* is a "
    "network without the module or one that is told zeros, is not said in what we have of it. Here every split tests "
    "images that were never seen, and the unguided network is one that was trained without a ratio."
)

_TITLES = {
    "oracle": "true (oracle)",
    "train-mean": "training mean",
    OWN: "own",
    OTHER: OTHER,
    **{f"guess:{a:g}": f"G {a:g}" for a in GUESSES},
}

_COLOURS = {"conditioned": "C0", "matched": "C1", "both": "C2"}
_LINES = {
    WITHOUT: ("none", "k", "-"),
    "train-mean": ("training mean, told\n(unguided: matched)", "0.5", "--"),
    OWN: ("own, told\n(unguided: matched)", "C4", ":"),
}


NAMES = names_of()


def run(given: Given) -> Iterator[Any]:
    """Train and judge; the last event has the numbers."""
    check_varied(given, "ratio-error", VARIED)
    judging = judging_of(given)
    with asked_conditions(given, NAMES) as conditions:
        results = yield from passed(judge_networks(given, conditions, judging))
    yield Finished(
        {
            **given.told,
            "judging": dict(judging.about),
            "published_break_even": PUBLISHED_BREAK_EVEN,
            "data": [
                {
                    "name": data.name,
                    "phases": list(data.scheme.names),
                    "conditions": _rows_of(cells_of(results, data.name), conditions),
                }
                for data in given.data
            ],
        }
    )


def _rows_of(by_condition: Mapping[str, Cells], conditions: Mapping[str, Guided]) -> list[dict[str, Any]]:
    found = []
    for name, condition in conditions.items():
        cells = by_condition.get(name, {})
        row = network(name, condition, cells)
        found.append(row | ratio_rows(cells, by_condition.get(condition.unguided, {})) if cells else row)
    return found


def lines(numbers: Numbers) -> list[str]:
    """Return all tables: the networks, then for fields and windows Dice and differences."""
    found = trained_how(numbers)
    for data in numbers["data"]:
        run_ones = [c for c in data["conditions"] if c["cells"]]
        found += section(f"{data['name']}: networks, size {numbers['size']}", _networks(data["conditions"]))
        for scope in SCOPES:
            where = "whole fields" if scope == "fields" else f"windows of {numbers['judging']['side']} px"
            judged = [c for c in run_ones if c[scope]["rows"]]
            found += section(f"{data['name']}: Dice on {where}, pooled, %", _dice(judged, scope))
            found += section(
                f"{data['name']}: differences on {where}, image by image (95 %)", _differences(judged, scope)
            )
    return [*found, "", _READING, "", SOURCE]


_READING = (
    "G is the published guess, a P + (1 - a)(1 - P)/(K - 1); an expert is drawn with a log-normal error and stated as "
    "exact unless another uncertainty is. *True*, G and experts come from test labels. *Own* is the network's own map "
    "fed back to it. Break-even is the accuracy of G (and, in brackets, the total variation of its ratio) at which it "
    "is worth as much as no ratio."
)


def _networks(conditions: Sequence[Numbers]) -> list[str]:
    return table(
        {
            "condition": lambda c: f"`{c['name']}`",
            "trained": lambda c: c["what"],
            "splits and seeds": lambda c: " ".join(c["cells"]) or NOT_RUN,
            "parameters, M": lambda c: fixed(c.get("parameters"), 2, 1e-6),
            "of guidance": lambda c: fixed(c["of_guidance"], 2, 1e-6) if c.get("of_guidance") else None,
            "γ": lambda c: _gauge(c, "gamma"),
            "δ": lambda c: _gauge(c, "delta"),
            "training, s": lambda c: fixed(c.get("seconds"), 0),
        },
        conditions,
    )


def _gauge(condition: Numbers, name: str) -> str | None:
    """Mean over the scales of a module."""
    gauges = condition.get("gauges", {})
    values = [value for key, value in gauges.items() if key.rpartition(".")[2] == name]
    return fixed(sum(values) / len(values), 2) if values else None


def _dice(conditions: Sequence[Numbers], scope: str) -> list[str]:
    if not conditions:
        return []
    titles = ["condition", "ratio acts", "none", *map(_title, ASKS), "break-even to none", "to unguided"]
    found: list[list[object]] = []
    wrong: dict[Ask, str | None] = {}
    for condition in conditions:
        rows = _rows(condition, scope)
        none = rows[WITHOUT, 0.0, None]
        for number, (mode, even) in enumerate(condition[scope]["break_even"].items()):
            asked = [rows.get((ask.source, ask.uncertainty, mode)) for ask in ASKS]
            wrong |= {a: fixed(r["variation"], 1, 100) for a, r in zip(ASKS, asked, strict=True) if r}
            found.append(
                [
                    None if number else f"`{marked(condition['name'], condition['what'])}`",
                    mode,
                    None if number else _mean(none),
                    *(None if row is None else _mean(row) for row in asked),
                    _even(even["to_itself"]),
                    _even(even["to_unguided"]) if even["to_unguided"] else None,
                ]
            )
    published = f"{100 * PUBLISHED_BREAK_EVEN:.1f}"
    error = ["total variation of the ratio, %", None, None, *(wrong.get(ask) for ask in ASKS), None, None]
    return plain_table(titles, [*found, error, ["published", *[None] * (len(titles) - 2), published]])


def _rows(condition: Numbers, scope: str) -> dict[Any, Numbers]:
    return {(r["source"], r["uncertainty"], r["mode"]): r for r in condition[scope]["rows"]}


def _mean(row: Numbers) -> str:
    """Pooled Dice with its deviation over networks, where there are several."""
    by_cell = row["dice_by_cell"]
    deviation = f" ± {100 * by_cell['std']:.1f}" if len(by_cell["folds"]) > 1 else ""
    return f"{100 * row['dice']:.1f}{deviation}"


def _title(ask: Ask) -> str:
    if ask.source.startswith("expert:"):
        stated = f", stated {ask.uncertainty:g}" if ask.uncertainty else ""
        return f"expert {100 * float(ask.source.partition(':')[2]):g} %{stated}"
    return _TITLES[ask.source]


def _even(found: Numbers) -> str:
    accuracy = found["accuracy"]
    if accuracy is None:
        return "never"
    if accuracy <= GUESSES[-1]:
        return f"under {100 * accuracy:.0f}"
    return f"{100 * accuracy:.1f} (TV {100 * found['variation']:.1f})"


def _differences(conditions: Sequence[Numbers], scope: str) -> list[str]:
    wanted = (
        *(Ask(source) for source in ("oracle", "expert:0.1")),
        Ask("expert:0.1", 0.1),
        *(Ask(source) for source in ("guess:0.7", "train-mean", OWN, OTHER)),
    )
    titles = ["condition", "ratio", "ratio acts", "to no ratio", "to the unguided network"]

    def found() -> Iterator[list[object]]:
        for condition in conditions:
            shown = f"`{marked(condition['name'], condition['what'])}`"
            for row in condition[scope]["rows"]:
                ask = Ask(row["source"], row["uncertainty"])
                without = row["source"] == WITHOUT
                if (without and condition["unguided"]) or ask in wanted:
                    name = "none" if without else _title(ask)
                    pairs = (difference(row["to_itself"]), difference(row["to_unguided"]))
                    yield [shown, name, row["mode"], *pairs]
                    shown = ""

    return plain_table(titles, found())


def figure(numbers: Numbers) -> Figure | None:
    """Dice against the total variation of the ratio: a row for each network, a column for fields and for windows."""
    from matplotlib.figure import Figure

    side = numbers["judging"]["side"]
    judged = [(data["name"], c) for data in numbers["data"] for c in data["conditions"] if c["cells"]]
    if not judged:
        return None
    found = Figure(figsize=(11, 3.6 * len(judged)), layout="constrained")
    grid: Any = found.subplots(len(judged), 2, squeeze=False)
    for (data, condition), both in zip(judged, grid, strict=True):
        for axes, scope in zip(both, SCOPES, strict=True):
            where = "whole fields" if scope == "fields" else f"windows of {side} px"
            axes.set_title(
                f"{data}: {marked(condition['name'], condition['what'])}, {where}",
                fontsize=10,
                parse_math=False,
            )
            if condition[scope]["rows"]:
                _draw(axes, condition, scope)
            else:
                axes.text(0.5, 0.5, "no such window in the test images", ha="center", va="center")
                axes.set_axis_off()
    found.legend(handles=_legend(), loc="outside right upper", fontsize=8)
    return found


def _draw(axes: Axes, condition: Numbers, scope: str) -> None:
    rows = _rows(condition, scope)
    for mode in condition[scope]["break_even"]:
        colour = _COLOURS[mode]
        for sources, marker in (
            (["oracle", *(f"guess:{a:g}" for a in GUESSES)], "s-"),
            (["oracle", *(f"expert:{error:g}" for error in EXPERTS)], "o--"),
        ):
            points = [rows[s, 0.0, mode] for s in sources if (s, 0.0, mode) in rows]
            axes.plot(
                [100 * p["variation"] for p in points],
                [100 * p["dice"] for p in points],
                marker,
                color=colour,
                ms=3.5,
                lw=1,
            )
        oracle = rows["oracle", 0.0, mode]
        axes.plot([0], [100 * oracle["dice"]], "*", color=colour, ms=10)
    best = "conditioned" if "conditioned" in condition[scope]["break_even"] else "matched"
    for source, (_, colour, style) in _LINES.items():
        row = rows.get((source, 0.0, None if source == WITHOUT else best))
        if row is not None:
            axes.axhline(100 * row["dice"], color=colour, ls=style, lw=1)
    none = rows[WITHOUT, 0.0, None]
    if none["dice_to_unguided"] is not None:
        axes.axhline(100 * (none["dice"] - none["dice_to_unguided"]), color="k", ls=(0, (1, 3)), lw=1.5)
    even = condition[scope]["break_even"][best]["to_unguided"]
    if even and even["accuracy"] is not None and even["accuracy"] > GUESSES[-1]:
        axes.axvline(100 * even["variation"], color="C3", lw=0.8, ls="-.")
    axes.set_xlabel("error of the ratio (total variation), %")
    axes.set_ylabel("Dice, %")
    axes.set_xlim(left=-1)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    def made(label: str, **style: Any) -> Line2D:
        return Line2D([], [], label=label, **style)

    return [
        *(made(mode, color=colour, lw=2) for mode, colour in _COLOURS.items()),
        made("published guess, 90 to 30 %", color="0.3", marker="s", ms=4, lw=1),
        made("expert, 5 to 100 % error", color="0.3", marker="o", ms=4, ls="--", lw=1),
        made("true ratio (oracle)", color="0.3", marker="*", ms=9, ls=""),
        *(made(label, color=colour, ls=style) for label, colour, style in _LINES.values()),
        made("unguided network, none", color="k", ls=(0, (1, 3)), lw=1.5),
        made("break-even to the\nunguided network", color="C3", ls="-.", lw=0.8),
    ]


STUDY = Study(
    name="ratio-error",
    question=(
        "How wrong may a ratio be before it is worth less than none? Dice against the error of the ratio, by networks "
        "that were told it in training, by matching, and by both."
    ),
    conditions=NAMES,
    run=run,
    lines=lines,
    figure=figure,
)
