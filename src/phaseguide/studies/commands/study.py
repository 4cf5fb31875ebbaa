"""The command group ``phaseguide study``: one command for each named study, all with the same options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.epochs import print_epoch
from phaseguide.cli.train.settings import parse_settings
from phaseguide.errors import PhaseguideError
from phaseguide.files.atomic import check_writable, write_bytes
from phaseguide.files.json_files import json_bytes
from phaseguide.studies.commands.options import choose, parts_of, seeds_of
from phaseguide.studies.named.registry import STUDIES
from phaseguide.studies.report import publish, to_text
from phaseguide.studies.study import SIZES, Given, Numbers, Study

DPI = 150
LONGEST_PX = 30_000
"""Side of a picture, px: a figure with a row for each of very many networks is drawn coarser."""

study_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


def _command(study: Study) -> Callable[..., None]:
    """Return the command of a study."""

    def command(
        datasets: Annotated[
            list[Path],
            typer.Argument(metavar="DATASET...", help="Folders as phaseguide data convert writes them."),
        ],
        out: Annotated[
            Path, typer.Option(metavar="DIR", help="Folder for networks, judgements and the report.")
        ],
        size: Annotated[
            str,
            typer.Option(metavar="small|full", help="small trains on two cores; full is as published."),
        ] = "small",
        folds: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Folds in place of those in the folder; for one DATASET."),
        ] = None,
        only: Annotated[
            str | None, typer.Option(metavar="NAME,...", help="Test on these folds only; without it, on all.")
        ] = None,
        conditions: str | None = None,
        seeds: Annotated[str, typer.Option(metavar="N,...", help="Seeds of the trainings.")] = "0",
        train: Annotated[
            bool,
            typer.Option("--train/--report", help="Make what is missing, or only report what is there."),
        ] = True,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="A setting of every training; may be repeated."),
        ] = None,
        device: DeviceOption = "auto",
        json_target: JsonOption = None,
    ) -> None:
        from phaseguide.studies.networks.splits import open_study_data

        if folds is not None and len(datasets) > 1:
            raise PhaseguideError("--folds is for one DATASET. Put a folds.json into each folder instead.")
        given = Given(
            data=[open_study_data(folder, folds) for folder in datasets],
            out=out,
            size=choose("--size", size, {name: name for name in SIZES}),
            only=None if only is None else parts_of(only),
            conditions=None if conditions is None else parts_of(conditions),
            seeds=seeds_of(seeds),
            settings={"device": device, **parse_settings(settings or [], study.config)},
            train=train,
        )
        _check(study, given)
        check_writable(out / f"{study.name}.md")
        numbers: Numbers = draw(study.run(given), print_epoch)
        lines = [f"# {study.name}", "", study.question, "", *study.lines(numbers)]
        _keep(study, out, numbers, lines)
        publish(lines, numbers, json_target)

    # An annotation is text, which is read without the names of this function.
    among = typer.Option(metavar="NAME,...", help=f"Only some of {', '.join(study.conditions)}.")
    command.__annotations__["conditions"] = Annotated[str | None, among]
    command.__doc__ = (
        f"{study.question}\n\nThe report is written to DIR as {study.name}.md, {study.name}.json and {study.name}.png. "
        "Stop with Ctrl-C at any time; the same command goes on where it stopped.\n\n[bold]Example[/bold]\n\n\b\n"
        f"  phaseguide study {study.name} data/steel --out runs/{study.name}"
    )
    return command


def _check(study: Study, given: Given) -> None:
    """Raise `PhaseguideError` for a condition or split that there is not."""
    splits = {name: None for data in given.data for name in data.splits}
    for what, wanted, known in (
        ("condition", given.conditions, study.conditions),
        ("fold or split", given.only, tuple(splits)),
    ):
        if unknown := [name for name in wanted or () if name not in known]:
            raise PhaseguideError(f"There is no {what} {unknown[0]!r}. Choose among {', '.join(known)}.")
        if wanted is not None and not wanted:
            raise PhaseguideError(
                f"No {what} is named. Choose among {', '.join(known)}, or leave the option out."
            )
    names = [data.name for data in given.data]
    if len(set(names)) < len(names):
        raise PhaseguideError("Two data sets have folders of the same name. Give each another name.")


def _keep(study: Study, out: Path, numbers: Numbers, lines: list[str]) -> None:
    """Write the report beside the networks; figures are made without a screen."""
    from io import BytesIO

    write_bytes(out / f"{study.name}.json", json_bytes(numbers))
    write_bytes(out / f"{study.name}.md", to_text(lines).encode())
    figure: Any = study.figure(numbers)
    if figure is not None:
        buffer = BytesIO()
        dpi = min(DPI, LONGEST_PX / max(figure.get_size_inches()))
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
        write_bytes(out / f"{study.name}.png", buffer.getvalue())


for _study in STUDIES.values():
    study_app.command(name=_study.name)(_command(_study))
