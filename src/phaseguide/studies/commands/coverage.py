"""``phaseguide benchmark coverage``: how often the intervals of an estimate hold the truth."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli.shared.limits import SEED
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw


def coverage(
    fields: Annotated[
        int, typer.Option(min=2, max=10**6, metavar="N", help="Synthetic fields in each scenario.")
    ] = 400,
    seed: Annotated[int, typer.Option(**SEED, help="Another seed draws other fields.")] = 0,
    json_target: JsonOption = None,
) -> None:
    """Measure how often the 95 % intervals of painted shares hold the truth on synthetic fields.

    400 fields take some minutes; the standard error of a coverage is then
    one percentage point.

    \b
    [bold]Example[/bold]
      phaseguide benchmark coverage --fields 400 --json coverage.json
    """  # noqa: D301
    from phaseguide.studies.intervals.coverage import coverage_study, to_lines
    from phaseguide.studies.report import publish

    results = draw(coverage_study(fields, seed=seed))
    numbers = {"fields": fields, "seed": seed, "scenarios": [one.to_dict() for one in results]}
    publish(to_lines(results), numbers, json_target)
