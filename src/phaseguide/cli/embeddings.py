"""``phaseguide embeddings``: what is kept of images on disk, so that they need not be encoded again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.limits import finite
from phaseguide.cli.shared.output import JsonOption, page, say, write_json
from phaseguide.errors import PhaseguideError
from phaseguide.option_values import EMBEDDINGS_GB

if TYPE_CHECKING:
    from phaseguide.segmentation.network.embedding_files import EmbeddingFolder

EmbeddingsOption = Annotated[
    str | None,
    typer.Option(
        "--embeddings",
        metavar="DIR|on|off",
        help="Keep what the encoder makes of each image in this folder (on: the usual one), so that the next run is "
        "quick. Default: what PHASEGUIDE_EMBEDDINGS says, else off.",
    ),
]
EmbeddingsLimitOption = Annotated[
    float | None,
    typer.Option(
        "--embeddings-gb",
        min=0.0,
        max=1e6,
        callback=finite,
        metavar="GB",
        help=f"How much may be kept; the images used least recently go first. Default: {EMBEDDINGS_GB:g}.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="DIR", help="Default: what PHASEGUIDE_EMBEDDINGS names, else the usual one."
    ),
]

embeddings_app = command_group("Show or clear what is kept on disk so that images need not be encoded again.")


@embeddings_app.command()
def show(folder: FolderOption = None, json_target: JsonOption = None) -> None:
    """Show where embeddings are kept, of how many images, and how much space they take.

    \b
    [bold]Examples[/bold]
      phaseguide embeddings show
      phaseguide embeddings show --folder D:/embeddings --json -
    """  # noqa: D301
    kept = _folder(folder)
    images, size = kept.images(), kept.size()
    console = page(json_target)
    console.print(f"Folder: {kept.path}", soft_wrap=True)
    if images:
        count = "1 image" if len(images) == 1 else f"{len(images)} images"
        console.print(f"{count}, {size_text(size)}")
        oldest, newest = (datetime.fromtimestamp(images[i].used).strftime("%Y-%m-%d %H:%M") for i in (0, -1))
        console.print(f"Used last: {newest}; the image that goes first: {oldest}")
    else:
        console.print("Nothing is kept there.")
    told: dict[str, Any] = {
        "folder": str(kept.path),
        "bytes": size,
        "images": [{"image_sha256": one.folder.name, "bytes": one.size, "used": one.used} for one in images],
    }
    write_json(json_target, told)


@embeddings_app.command()
def clear(folder: FolderOption = None) -> None:
    """Remove all embeddings. Images, models and results are not touched; embeddings are made again when needed.

    \b
    [bold]Examples[/bold]
      phaseguide embeddings clear
    """  # noqa: D301
    kept = _folder(folder)
    freed = kept.clear()
    say(f"{size_text(freed)} freed in {kept.path}")


def read_embeddings(wish: str | None, limit_gb: float | None) -> EmbeddingFolder | Literal["off"]:
    """Return what the options and variables of a command mean; `PhaseguideError` if they cannot be meant."""
    from phaseguide.segmentation.network.embedding_files import default_location, embedding_folder

    if limit_gb is not None and wish is None and not default_location():
        raise PhaseguideError(
            "--embeddings-gb sets a limit, but no embeddings are kept. Add --embeddings on, or a folder."
        )
    return embedding_folder(default_location() if wish is None else wish, limit_gb) or "off"


def size_text(size: int) -> str:
    """Write a number of bytes as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _folder(folder: Path | None) -> EmbeddingFolder:
    from phaseguide.segmentation.network.embedding_files import default_location, embedding_folder

    found = embedding_folder(str(folder) if folder is not None else default_location())
    found = found or embedding_folder("on")
    assert found is not None
    if folder is not None and not folder.is_dir():
        raise PhaseguideError(f"{folder}: there is no such folder. Check the path.")
    return found
