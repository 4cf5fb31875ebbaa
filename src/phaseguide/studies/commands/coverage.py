"""``phaseguide benchmark coverage``: how often the intervals of an estimate hold the truth."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli.shared.limits import SEED
from phaseguide.cli.shared.output import JsonOption, make_table, page, write_json
from phaseguide.cli.shared.progress import draw


def coverage(
    fields: Annotated[
        int, typer.Option(min=2, max=10**6, metavar="N", help="Synthetic fields in each scenario.")
    ] = 400,
    seed: Annotated[int, typer.Option(**SEED, help="Another seed draws other fields.")] = 0,
    json_target: JsonOption = None,
) -> None:
    """Measure how often the 95 % intervals hold the truth on synthetic fields.

    400 fields take about ten minutes; the standard error of a coverage is then
    one percentage point.

    \b
    [bold]Example[/bold]
      phaseguide benchmark coverage --fields 400 --json coverage.json
    """  # noqa: D301
    from phaseguide.studies.intervals.coverage import coverage_study

    results = draw(coverage_study(fields, seed=seed))
    columns = ("scenario", "reading", "covered %", "± pp", "blocks alone %")
    table = make_table("Coverage of 95 % intervals, mean over phases", columns, left=2)
    rows = []
    for one in results:
        name = one.scenario.name if one.scenario.meant else f"({one.scenario.name})"
        table.add_row(
            name,
            one.scenario.reading,
            f"{one.covered.mean() * 100:.1f}",
            f"{one.half_width.mean() * 100:.1f}",
            "" if one.covered_by_blocks is None else f"{one.covered_by_blocks.mean() * 100:.1f}",
        )
        rows.append(
            {
                "scenario": one.scenario.name,
                "reading": one.scenario.reading,
                "meant": one.scenario.meant,
                "fields": one.fields,
                "covered": one.covered.tolist(),
                "bias": one.bias.tolist(),
                "half_width": one.half_width.tolist(),
                "covered_by_blocks": None
                if one.covered_by_blocks is None
                else one.covered_by_blocks.tolist(),
            }
        )
    console = page(json_target)
    console.print(table)
    console.print("In brackets: scenarios for which a reading is not meant.")
    write_json(json_target, {"fields": fields, "seed": seed, "scenarios": rows})
