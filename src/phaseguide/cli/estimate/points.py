"""``phaseguide estimate points``: propose points to name on a label map, and make areas of the answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.images import check_plane
from phaseguide.cli.shared.limits import PLANE, SEED, finite
from phaseguide.cli.shared.named_phases import named_phases
from phaseguide.cli.shared.output import JsonOption, make_table, page, percent, write_json
from phaseguide.errors import OutputError, PhaseguideError
from phaseguide.files.json_files import read_json

if TYPE_CHECKING:
    from phaseguide.estimation.point_plan import PointPlan
    from phaseguide.phases import PhaseScheme


points_app = command_group("Check the areas of a label map by points that you name.")


@points_app.command()
def propose(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Label map: 0 not classified, 1..K, 255 excluded.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="Table of points to be filled in.")],
    count: Annotated[int, typer.Option(min=1, max=10**6, metavar="N", help="Points in all.")] = 100,
    plane: Annotated[int, typer.Option(**PLANE, help="Plane of a stack, from 0.")] = 0,
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|FILE",
            help='"ferrite,bainite", or a scheme.json. Default: the record beside the label map.',
        ),
    ] = None,
    right: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            callback=finite,
            help="How often the map is assumed to be right, for the expected errors.",
        ),
    ] = 0.9,
    seed: Annotated[int, typer.Option(**SEED, help="Another seed draws other points.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier table.")] = False,
) -> None:
    """Draw random points, more on rare phases, and say how sharp the estimate will be.

    FILE.csv gets x and y of every point, in px from the top left, and an empty
    column "phase"; FILE.json beside it holds the plan. Look at the micrograph,
    not at the map, and write at each point the phase at that very pixel (name
    or number), or "unclear".

    \b
    [bold]Examples[/bold]
      phaseguide estimate points propose uhcs0220_labels.tif --out points.csv
      phaseguide estimate points propose map.tif --count 200 --phases "ferrite,carbide" --out points.csv
    """  # noqa: D301
    import numpy as np

    from phaseguide.estimation.point_count import UNNAMED
    from phaseguide.estimation.point_files import count_bytes, points_bytes, why_plan_kept
    from phaseguide.estimation.point_plan import propose_points
    from phaseguide.files.atomic import check_place, write_together
    from phaseguide.micrographs import read_label_map

    plan_path = out.with_suffix(".json")
    if out == plan_path:
        raise PhaseguideError(
            f"{out}: the table cannot end in .json, where its plan goes. Call it points.csv."
        )
    there = [path for path in (out, plan_path) if os.path.lexists(path)]
    if there and not overwrite:
        raise OutputError(f"{there[0]}: exists already. Give another name, or --overwrite to replace it.")
    for path in (out, plan_path):
        check_place(path)
    for path in there:
        if reason := why_plan_kept(path):
            raise OutputError(reason)
    array = read_label_map(labels)
    if array.ndim == 3:
        check_plane(labels, len(array), plane)
        array = array[plane]
    scheme = _scheme_of(labels, phases, array)
    plan = propose_points(array, scheme, count, seed, _map_note(_record_of(labels), scheme))
    files = {out: points_bytes(plan), plan_path: count_bytes(plan, np.full(len(plan), UNNAMED))}
    write_together(files, why_plan_kept if overwrite else None)
    _show_expected(plan, count, right)
    page(None).print(f"{len(plan)} points: {out}, plan: {plan_path}", soft_wrap=True)


@points_app.command()
def evaluate(
    points: Annotated[
        Path,
        typer.Argument(
            metavar="POINTS", help="The table with the phases filled in, or a count saved in napari."
        ),
    ],
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The plan. Default: beside the table.")
    ] = None,
    json_target: JsonOption = None,
) -> None:
    """Estimate area shares from the named points, with standard error and 95 % interval.

    The estimate does not depend on the map being right: the map only decided
    where to look. Unclear points are left out; the last two columns say what
    each share would be if none or all of them were that phase.

    \b
    [bold]Examples[/bold]
      phaseguide estimate points evaluate points.csv
      phaseguide estimate points evaluate points.csv --plan points.json --json areas.json
    """  # noqa: D301
    from phaseguide.jobs.point_count import read_count
    from phaseguide.jobs.tables import area_rows

    count = read_count(points, plan)
    estimate = count.evaluate()
    rows = area_rows(count.plan.scheme, estimate)
    console = page(json_target)
    columns = ("phase", "in map %", "area %", "± SE", "95 % interval", "points", "unclear: none", "all")
    table = make_table("", columns)
    for row in rows:
        table.add_row(
            row["phase"],
            percent(row["in_map"]),
            percent(row["area"]),
            percent(row["standard_error"]),
            f"{percent(row['low'])} - {percent(row['high'])}",
            str(row["points"]),
            percent(row["if_no_unclear_point"]),
            percent(row["if_every_unclear_point"]),
        )
    console.print(table)
    for note in estimate.notes:
        say_notice(note)
    write_json(
        json_target,
        {
            "phases": rows,
            "points": len(count.plan),
            "named": estimate.named,
            "unclear": int(estimate.unclear.sum()),
            "confusion": estimate.counts.tolist(),
            "notes": list(estimate.notes),
        },
    )


def _show_expected(plan: PointPlan, count: int, right: float) -> None:
    from phaseguide.jobs.tables import expected_errors

    errors = expected_errors(plan.pixels, count, right)
    console = page(None)
    console.print(
        f"Standard error to expect, in percentage points, if the map is right at {right * 100:g} % of the points:",
        soft_wrap=True,
    )
    table = make_table("", ("phase", "in map %", *(f"{n} points" for n in errors)))
    for k, phase in enumerate(plan.scheme):
        table.add_row(phase.name, percent(plan.weights[k + 1]), *(percent(e[k]) for e in errors.values()))
    console.print(table)
    if plan.map_note:
        console.print(plan.map_note, soft_wrap=True)


def _scheme_of(labels: Path, phases: str | None, array: Any) -> PhaseScheme:
    """Phases from the option, from the record beside the label map, or simply numbered."""
    from phaseguide.micrographs.records import record_of_another
    from phaseguide.phases import EXCLUDED, PhaseScheme

    if phases is not None:
        return named_phases(phases)
    record = _record_of(labels)
    if record.is_file():
        if record_of_another(labels) is not None:
            say_notice(
                f"{labels}: was changed or replaced since {record.name} beside it was written. The names of the phases "
                "are taken from there all the same; see --phases."
            )
        return PhaseScheme.read(record)
    last = int(array[array != EXCLUDED].max(initial=0))
    if not last:
        raise PhaseguideError(f"{labels}: no pixel has a phase. Choose a label map with values 1, 2 ...")
    say_notice(f"The phases of {labels} have no names; they are called by their labels. See --phases.")
    return PhaseScheme.from_names(f"phase {label}" for label in range(1, last + 1))


def _record_of(labels: Path) -> Path:
    """Where ``phaseguide segment`` puts the record of a label map; it need not be there."""
    return labels.with_name(f"{labels.stem.removesuffix('_labels')}.json")


def _map_note(record: Path, scheme: PhaseScheme) -> str:
    """What must stand beside the areas of a map that a user's ratio had a part in; empty for others."""
    from phaseguide.estimation.point_plan import constrained_note
    from phaseguide.segmentation.saving import CONSTRAINED

    try:
        data = read_json(record)
        if not data["ratio"]["constrained"]:
            return ""
        own = {str(row["name"]): float(row["own"]) for row in data["phases"]}
        statement = str(data["ratio"].get("statement", CONSTRAINED))
    except (OSError, ValueError, KeyError, TypeError):  # no record, or none of ours
        return ""
    return constrained_note(own, statement)
