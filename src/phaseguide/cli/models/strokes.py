"""``phaseguide models from-strokes``: a first model of a new material from strokes in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.output import DeviceOption, JsonOption, say, write_json
from phaseguide.cli.shared.progress import draw


def from_strokes(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="Folder with images/, and in labels/ the strokes: 0 where nothing is."
        ),
    ],
    name: Annotated[str, typer.Argument(help="Name of the new model.")],
    phases: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Names of labels 1, 2, ... where there is no scheme.json."),
    ] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="M", help="Model whose encoder is used, by name or file.")
    ] = "uhcs",
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Fit a first model of a new material to strokes, in seconds; it is added to your models.

    [bold]Example[/bold]: phaseguide models from-strokes data/strokes my-alloy --phases matrix,precipitate
    """
    from phaseguide.cli.train.dataset import choose_scheme
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.jobs.strokes.folder import SavedStrokes, fit_folder
    from phaseguide.jobs.strokes.stages import describe_evidence

    data = open_dataset(dataset)
    scheme = choose_scheme(data, phases, None, None)
    saved: SavedStrokes = draw(fit_folder(data, scheme, name, start=start, device=device))
    pixels, images = sum(saved.painted), saved.images
    say(f"Learnt from {pixels:,} painted px on {images} image{'' if images == 1 else 's'}: {saved.path}")
    say(describe_evidence(saved.held_out))
    right = None if saved.held_out is None else saved.held_out[0]
    write_json(
        json_target,
        {
            "model": saved.path.stem,
            "file": str(saved.path),
            "images": images,
            "painted_px": dict(zip(scheme.names, saved.painted, strict=True)),
            "held_out_px": None if saved.held_out is None else saved.held_out[1],
            "held_out_right_px": right,
        },
    )
