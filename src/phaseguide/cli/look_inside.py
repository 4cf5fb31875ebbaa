"""``phaseguide look-inside``: what every block of a network makes of an image, as pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.images import check_plane, read_image
from phaseguide.cli.shared.limits import PLANE
from phaseguide.cli.shared.output import DeviceOption, JsonOption, ModelOption, make_table, page, write_json
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import PhaseguideError


def look_inside(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file.")],
    model: ModelOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures; made if missing.")],
    ratio: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='Show the guidance with these shares too, "ferrite=15%,2=0.3" or "15;30;". Others are open.',
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="M|none",
            help="Model whose encoder to compare with. Default: what the training began with (the model without "
            "its adapters, its parent, or ImageNet weights), if that is at hand.",
        ),
    ] = None,
    window: Annotated[
        int,
        typer.Option(min=32, max=65_536, metavar="PX", help="Largest side of the part that is looked at."),
    ] = 1024,
    centre: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Middle of that part, px from the top left. Default: of the image."),
    ] = None,
    plane: Annotated[int, typer.Option(**PLANE, help="Plane of a stack, from 0.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures of an earlier run.")
    ] = False,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Show what every block of the encoder and the guidance see.

    The first three principal components of a block's tokens become red, green
    and blue. The encoder before and after training share one projection for
    each block, so their colours can be compared; colours of different blocks
    cannot. Writes NAME_inside.png (all on one sheet), NAME_inside.json and a
    PNG of each block, in which a pixel is a token.

    \b
    [bold]Examples[/bold]
      phaseguide look-inside steel.tif --model uhcs --out inside
      phaseguide look-inside steel.tif -m plm.safetensors --ratio "ferrite=70%" --out inside
      phaseguide look-inside large.tif -m mine --base uhcs --window 512 --centre 900,400 --out inside
    """  # noqa: D301
    from phaseguide.control import Control
    from phaseguide.jobs.look_inside import InsideFound, InspectionRequest, run_look
    from phaseguide.jobs.precheck import check_parts
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model
    from phaseguide.ratios import parse_ratio
    from phaseguide.segmentation.inside.sheet import inside_files, save_inside, view_row

    middle = _read_centre(centre)
    stem = image.stem if plane == 0 else f"{image.stem}_{plane:03d}"
    planned = inside_files(out, stem)
    check_parts([planned.sheet, planned.table], planned.table, replace=overwrite)
    micrograph = read_image(image)
    pixels, margins = micrograph.data, micrograph.margins
    if micrograph.is_stack:
        check_plane(image, len(pixels), plane)
        pixels, margins = pixels[plane], margins.of_plane(plane)
    elif plane:
        raise PhaseguideError(f"{image}: is one plane and no stack. Leave --plane out.")
    path = find_model(model)
    card = read_card(path)
    request = InspectionRequest(
        path,
        lambda: pixels,
        str(image),
        None if ratio is None else parse_ratio(ratio, card.scheme),
        middle,
        device,
        margins=margins,
        base=base,
        window=window,
    )
    found: InsideFound = draw(run_look(request, SessionStore(), Control()))
    views, base_name = found.views, found.base_name
    files = save_inside(
        out, stem, views, pixels, model_name=card.name, base_name=base_name, replace=overwrite
    )
    table = make_table("Share of the variance %", ("encoder", "block", "red", "green", "blue", "px"), left=2)
    for view in views:
        shares = (f"{share * 100:.1f}" for share in view.explained)
        table.add_row(view.encoder, view.name, *shares, f"{view.stride[0]:g}")
    console = page(json_target)
    console.print(table)
    console.print("px: pixels of the image to a side of one token")
    console.print(f"All on one sheet: {files.sheet}", soft_wrap=True)
    rows = [{**view_row(view), "file": str(path)} for view, path in zip(views, files.pictures, strict=True)]
    write_json(json_target, {"model": card.name, "base": base_name, "sheet": str(files.sheet), "views": rows})


def _read_centre(text: str | None) -> tuple[float, float] | None:
    """Row and column from "X,Y"; `PhaseguideError` for anything else."""
    if text is None:
        return None
    try:
        x, y = (float(part) for part in text.split(","))
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError("not finite")
    except ValueError:
        raise PhaseguideError(
            f"--centre {text!r} is not understood. Write two numbers, for example 900,400."
        ) from None
    return y, x
