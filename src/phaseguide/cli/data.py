"""``phaseguide data``: which data sets can be read, what a folder holds, and making one to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseguide.cli.shared.data_report import show_report, show_written
from phaseguide.cli.shared.errors import leave_with
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.layout_options import takes_layout_options
from phaseguide.cli.shared.output import JsonOption, page, write_json
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.synthetic import synthetic

if TYPE_CHECKING:
    from phaseguide.datasets.reading.options import LayoutOptions

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Images and annotations in one of the layouts of: data list.")
]
LayoutOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The layout. Default: what the folder looks like.")
]

data_app = command_group(
    "Read published data sets and annotations of other programs: list, check, convert. Draw synthetic ones."
)


@data_app.command("list")
def list_layouts(json_target: JsonOption = None) -> None:
    """List the layouts that can be read: where to get the data, their licence, what a folder has to have.

    \b
    [bold]Example[/bold]
      phaseguide data list
    """  # noqa: D301
    from phaseguide.datasets.layouts.registry import LAYOUTS

    console = page(json_target)
    for layout in LAYOUTS.values():
        about = layout.about
        console.print(f"{about.name}: {about.title}", style="bold", soft_wrap=True)
        for word, text in (
            ("holds", about.holds), ("folder", about.expects), ("licence", about.licence), ("get it", about.source),
            ("cite", about.citation),
        ):  # fmt: skip
            if text:
                console.print(f"  {word + ':':9}{text}", soft_wrap=True)
    write_json(json_target, [layout.about.to_dict() for layout in LAYOUTS.values()])


@data_app.command()
@takes_layout_options
def check(
    folder: FolderArgument,
    *,
    layout: LayoutOption = None,
    options: LayoutOptions,
    json_target: JsonOption = None,
) -> None:
    """Say what a folder holds, and name what of it cannot be used.

    Every image is read with its labels: sizes, information bars, phases and
    their shares. Nothing is written.

    \b
    [bold]Examples[/bold]
      phaseguide data check downloads/Super1
      phaseguide data check annotated/ --layout coco --unlabelled negative
    """  # noqa: D301
    from phaseguide.jobs.data.check import check_data

    report = draw(check_data(folder, options, layout))
    show_report(report, json_target)
    write_json(json_target, report.to_dict())
    if report.problems:
        total = report.images + len(report.problems)
        leave_with(f"{len(report.problems)} of {total} images cannot be used:", report.problems)


@data_app.command()
@takes_layout_options
def convert(
    folder: FolderArgument,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to be made: a data set for train and evaluate.")
    ],
    *,
    layout: LayoutOption = None,
    options: LayoutOptions,
    json_target: JsonOption = None,
) -> None:
    """Write a folder in any known layout as a data set: images/, labels/, scheme.json, and its folds or splits.

    OUT appears when it is complete. Where the command was stopped, or an image
    could not be used, the same call goes on.

    \b
    [bold]Examples[/bold]
      phaseguide data convert downloads/uhcs uhcs
      phaseguide data convert downloads/Super1 super1-test --split test
      phaseguide train uhcs --out steel.safetensors --folds uhcs/folds.json
    """  # noqa: D301
    from phaseguide.jobs.data.convert import convert_data

    show_written(draw(convert_data(folder, out, options, layout)), json_target)


data_app.command()(synthetic)
