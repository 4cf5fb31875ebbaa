"""``study response``: how far what is achieved follows what is asked, by the network alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phaseguide.events import Finished
from phaseguide.studies.guidance.conditions import (
    BACKBONES,
    GUIDANCES,
    SCHEDULES,
    VARIED,
    Guided,
    asked_conditions,
    names_of,
)
from phaseguide.studies.guidance.following import DEAF, comparisons, responses, verdict
from phaseguide.studies.guidance.judged import Cells, cells_of, judge_networks
from phaseguide.studies.guidance.judging import judging_of
from phaseguide.studies.guidance.places import SCOPES
from phaseguide.studies.guidance.summary import network
from phaseguide.studies.networks.comparison import check_varied
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import passed
from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.networks.tables import NOT_RUN, difference, with_spread
from phaseguide.studies.report import fixed, plain_table, section
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = names_of()
"""Networks without guidance are trained too, since those of the schedule ``staged`` start from them."""

READING = (
    "Response: change of a phase's area (or of its mean probability) per change of the asked, by conditioning alone; "
    "each phase is moved by ±5 pp, the others in proportion, from the network's own composition or from the true one. "
    "1 follows fully, 0 is deaf; matching answers with 1 by construction. Figure, pairs and sentences are from the "
    "true composition (of the test labels): without a ratio, a network that was always told one has no composition "
    "that means anything. *Map moved*: by how much of its size the "
    "same steps move the map that guidance acts on. *Silenced*: share of the pixels that change their phase where "
    "that map shows its mean everywhere: what the decoder takes from it at all. No response was "
    "published; the published figure shows one phase raised by the network alone (see `study steer`)."
)


def run(given: Given) -> Iterator[Any]:
    """Train and judge; the last event has the numbers."""
    check_varied(given, "response", VARIED)
    judging = judging_of(given)
    with asked_conditions(given, NAMES) as conditions:
        results = yield from passed(judge_networks(given, conditions, judging))
    found = []
    for data in given.data:
        by_condition = cells_of(results, data.name)
        rows = {n: _row(n, c, by_condition.get(n, {})) for n, c in conditions.items() if c.schedule}
        skips = {scope: comparisons(rows, scope) for scope in SCOPES}
        found.append({"name": data.name, "conditions": list(rows.values()), "skips": skips})
    yield Finished({**given.told, "judging": dict(judging.about), "deaf_below": DEAF, "data": found})


def _row(name: str, condition: Guided, cells: Cells) -> dict[str, Any]:
    row: dict[str, Any] = {
        **network(name, condition, cells),
        "guidance": condition.guidance,
        "backbone": condition.backbone,
        "schedule": condition.schedule,
        **{scope: responses(cells, scope) for scope in SCOPES},
    }
    return {**row, "verdict": verdict(condition, row["fields"])} if row["fields"] else row


def lines(numbers: Numbers) -> list[str]:
    """Return the responses, what skip connections do to them, and a sentence a network."""
    found = trained_how(numbers)
    for data in numbers["data"]:
        conditions = data["conditions"]
        for scope in SCOPES:
            where = "whole fields" if scope == "fields" else f"windows of {numbers['judging']['side']} px"
            found += section(
                f"{data['name']}: response on {where}, size {numbers['size']}", _table(conditions, scope)
            )
            found += section(
                f"{data['name']}: what skip connections take away, {where}", _skips(data["skips"][scope])
            )
        told = [f"- `{marked(c['name'], c['what'])}` {c['verdict']}" for c in conditions if c.get("verdict")]
        found += section(f"{data['name']}: who listens (whole fields; deaf is under {DEAF:g})", told)
    return [*found, "", READING]


def _table(conditions: Sequence[Numbers], scope: str) -> list[str]:
    titles = ["condition", "guidance", "backbone", "schedule", "networks", "area, from its own"]
    titles += ["area, from the true", "mean probability, from its own", "mean probability, from the true"]
    titles += ["map moved, %", "silenced, %"]

    def rows() -> Iterator[list[object]]:
        for c in conditions:
            about = [f"`{marked(c['name'], c['what'])}`", c["guidance"], c["backbone"], c["schedule"]]
            if c[scope] is None:
                yield [*about, NOT_RUN if not c["cells"] else "no place", *[None] * 6]
                continue
            one = c[scope]
            yield [
                *about,
                " ".join(c["cells"]),
                *(with_spread(one[start]["area"], 1, 2) for start in ("own", "true")),
                *(with_spread(one[start]["probability"], 1, 2) for start in ("own", "true")),
                *(with_spread(one[name]) for name in ("moved", "silenced")),
            ]

    return plain_table(titles, rows())


def _skips(rows: Sequence[Numbers]) -> list[str]:
    titles = ["guidance", "schedule", "response with skips", "without", "without minus with, by image (95 %)"]
    titles += ["silenced with skips, %", "without, %"]

    return plain_table(
        titles,
        (
            [
                row["guidance"],
                row["schedule"],
                *(fixed(row[side]["response"], 2) for side in ("skips", "no_skips")),
                difference(row["difference"], 1, 2),
                *(fixed(row[side]["silenced"], 1, 100) for side in ("skips", "no_skips")),
            ]
            for row in rows
        ),
    )


def figure(numbers: Numbers) -> Figure | None:
    """A bar for each guidance and schedule, grouped by backbone, for fields and windows."""
    from matplotlib.figure import Figure

    shown = [
        (data, scope)
        for data in numbers["data"]
        for scope in SCOPES
        if any(c[scope] for c in data["conditions"])
    ]
    if not shown:
        return None
    found = Figure(figsize=(12, 3.4 * len(shown)), layout="constrained")
    grid: Any = found.subplots(len(shown), 1, squeeze=False)
    colours = {guidance: f"C{i}" for i, guidance in enumerate(GUIDANCES)}
    hatches = dict(zip(SCHEDULES, ("", "//", ".."), strict=True))
    for (data, scope), (axes,) in zip(shown, grid, strict=True):
        named: Mapping[tuple[str, ...], Any] = {
            (c["backbone"], c["guidance"], c["schedule"]): c[scope]["true"]["area"]
            for c in data["conditions"]
            if c[scope]
        }
        backbones = [b for b in BACKBONES if any(key[0] == b for key in named)]
        slots = [(g, s) for g in GUIDANCES for s in SCHEDULES if any(key[1:] == (g, s) for key in named)]
        width = min(0.85 / len(slots), 0.2)
        for at, backbone in enumerate(backbones):
            for number, (guidance, schedule) in enumerate(slots):
                x = at + (number - (len(slots) - 1) / 2) * width
                value = named.get((backbone, guidance, schedule))
                if value is None:
                    axes.plot([x], [0], "x", color="0.75", ms=5)
                    continue
                style = {"color": colours[guidance], "hatch": hatches[schedule], "edgecolor": "k", "lw": 0.4}
                axes.bar(x, value["mean"], width * 0.9, yerr=value["std"] or None, **style)
                axes.plot([x], [value["mean"]], "o", color=colours[guidance], mec="k", ms=4)
        axes.axhline(1, color="k", lw=0.8, ls=":")
        axes.axhline(DEAF, color="C3", lw=0.8, ls="--")
        axes.axhline(0, color="k", lw=0.8)
        what = {c["backbone"]: c["what"] for c in data["conditions"]}
        axes.set_xticks(range(len(backbones)), [marked(b, what[b]) for b in backbones])
        axes.set_xlabel("backbone")
        axes.set_ylabel("area achieved / asked")
        where = "whole fields" if scope == "fields" else f"windows of {numbers['judging']['side']} px"
        axes.set_title(
            f"{data['name']}: response by conditioning alone, {where}", fontsize=10, parse_math=False
        )
    found.legend(handles=_legend(colours, hatches), loc="outside right upper", fontsize=8)
    return found


def _legend(colours: Mapping[str, str], hatches: Mapping[str, str]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        *(Patch(facecolor=colour, label=name) for name, colour in colours.items()),
        *(Patch(facecolor="w", edgecolor="k", hatch=hatch, label=name) for name, hatch in hatches.items()),
        Line2D([], [], color="k", ls=":", lw=0.8, label="follows fully"),
        Line2D([], [], color="C3", ls="--", lw=0.8, label=f"deaf below {DEAF:g}"),
        Line2D([], [], color="0.75", marker="x", ls="", label=NOT_RUN),
    ]


STUDY = Study(
    name="response",
    question=(
        "How much of an asked change of area does a network make by conditioning alone, by guidance, backbone and "
        "schedule; and which networks are deaf?"
    ),
    conditions=NAMES,
    run=run,
    lines=lines,
    figure=figure,
)
