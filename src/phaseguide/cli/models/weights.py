"""``phaseguide models base``: base weights of Segment Anything; list, download, add, find, forget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.output import JsonOption, make_table, page, say, write_json
from phaseguide.cli.shared.progress import draw

if TYPE_CHECKING:
    from phaseguide.models.sam.weights import BaseEntry

SizeArgument = Annotated[str, typer.Argument(metavar="SIZE", help="vit_b, vit_l or vit_h.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A file of weights (.pth).")]

base_app = command_group(
    "Base weights of Segment Anything, which its models build on: list, download, add, find, forget."
)


@base_app.command(name="list")
def list_all(json_target: JsonOption = None) -> None:
    """List the official sizes, there or not, and other base weights that are on this computer.

    A file that was never read before is read once for its checksum, which takes seconds.

    [bold]Example[/bold]: phaseguide models base list
    """
    from phaseguide.models.sam.checksums import bases_folder
    from phaseguide.models.sam.weights import listing

    entries: list[BaseEntry] = draw(listing())
    table = make_table("Base weights", ("size", "file", "checksum", "where", "on disk"), left=4)
    for entry in entries:
        where = "not on this computer" if entry.path is None else str(entry.path.parent)
        megabytes = f"{entry.bytes / 1e6:.0f} MB" if entry.path is not None else ""
        table.add_row(entry.size, entry.name, entry.sha256[:12], where, megabytes)
    console = page(json_target)
    console.print(table)
    for entry in entries:
        for text in (entry.problem, entry.note):
            if text:
                console.print(f"{entry.size or entry.name}: {text}", soft_wrap=True)
    console.print(f"Downloads go to {bases_folder()}", soft_wrap=True)
    write_json(json_target, [_row(entry) for entry in entries])


def _row(entry: BaseEntry) -> dict[str, Any]:
    return {
        "size": entry.size or None,
        "name": entry.name,
        "sha256": entry.sha256 or None,
        "official": entry.official,
        "file": None if entry.path is None else str(entry.path),
        "size_mb": entry.bytes / 1e6,
        "problem": entry.problem or None,
        "note": entry.note or None,
    }


@base_app.command()
def get(
    size: SizeArgument,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of a folder that offers the official files by their names. Default: the variable "
            "PHASEGUIDE_SAM_MIRROR, else the authors' own.",
        ),
    ] = None,
) -> None:
    """Download official weights, unless they are there already: vit_b 375 MB, vit_l 1.2 GB, vit_h 2.6 GB.

    Stop with Ctrl-C; the same command goes on from there. The checksum is verified.
    Without a network, the message says which file to bring, and where to put it.

    [bold]Examples[/bold]: phaseguide models base get vit_b

    phaseguide models base get vit_h --mirror https://mirror.example.org/sam/
    """
    from phaseguide.control import Control
    from phaseguide.jobs.get_weights import download

    try:
        path = draw(download(size, Control(), mirror))
    except KeyboardInterrupt:
        say_notice(f"What was downloaded is kept. Go on with: phaseguide models base get {size}")
        raise
    say(f"{size}: {path}")


@base_app.command()
def add(
    file: FileArgument,
    size: Annotated[
        str | None,
        typer.Option(help="Encoder that the weights are for; default: what the checksum or the name says."),
    ] = None,
) -> None:
    """Remember a file of base weights where it lies; nothing is copied. Any checksum is taken.

    [bold]Example[/bold]: phaseguide models base add D:/weights/sam_vit_b_01ec64.pth
    """
    from phaseguide.models.sam.weights import adding

    entry: BaseEntry = draw(adding(file, size))
    kind = f"official {entry.size}" if entry.official else entry.size or "size not known"
    say(f"Added {entry.path} ({kind}, checksum {entry.sha256})")


@base_app.command()
def where(
    size: Annotated[
        str, typer.Argument(metavar="SIZE", help="vit_b, vit_l, vit_h, or a checksum of 64 hex digits.")
    ],
) -> None:
    """Print the file of base weights, its checksum verified, or say where it was looked for.

    [bold]Example[/bold]: phaseguide models base where vit_b
    """
    from phaseguide.models.sam.shapes import official_file
    from phaseguide.models.sam.weights import finding

    sha256 = size if len(size) == 64 else official_file(size).sha256
    say(str(draw(finding(sha256))))


@base_app.command()
def forget(file: FileArgument) -> None:
    """Forget a file that was added. The file itself stays.

    [bold]Example[/bold]: phaseguide models base forget D:/weights/sam_vit_b_01ec64.pth
    """
    from phaseguide.models.sam.weights import forget_base

    say(f"Forgot {forget_base(file)}; the file is still there if it was.")
