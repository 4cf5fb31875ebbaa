"""``phaseguide segment``: image files in, label maps and records out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.guard import EXIT_SOME_FAILED, say_error
from phaseguide.cli.output import (
    DeviceOption,
    ExactOption,
    FlipsOption,
    JsonOption,
    ModelOption,
    ModeOption,
    UncertaintyOption,
    check_mode,
    make_table,
    page,
    resolve_uncertainty,
    share_columns,
    write_json,
)
from phaseguide.cli.progress import draw
from phaseguide.errors import PhaseguideError

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.batch import ImageDone, ImageFailed
    from phaseguide.segmentation.request import Request


def segment(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files and folders of images.")
    ],
    model: ModelOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if missing.")],
    ratio: Annotated[
        str,
        typer.Option(
            metavar="TEXT|none|auto",
            help='Area shares that you expect, "ferrite=15%,2=0.3"; phases that you leave out stay open. '
            "auto: the model estimates them.",
        ),
    ] = "none",
    uncertainty: UncertaintyOption = None,
    exact: ExactOption = False,
    source: Annotated[
        str | None, typer.Option(metavar="TEXT", help='Where the ratio comes from, for the record: "EBSD".')
    ] = None,
    mode: ModeOption = None,
    smoothing: Annotated[
        float, typer.Option(min=0.0, metavar="PX", help="Smooth the scores by this many pixels; 0 is off.")
    ] = 0.0,
    min_island: Annotated[
        int,
        typer.Option(min=0, metavar="PX", help="Islands of fewer pixels join their surroundings; 0 is off."),
    ] = 0,
    edits: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Label map of what you know: 1..K that phase, 255 excluded, 0 nothing."
        ),
    ] = None,
    exclude_info_bar: Annotated[
        bool,
        typer.Option(
            "--exclude-info-bar/--keep-info-bar", help="Leave a detected information bar out of all areas."
        ),
    ] = True,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a picture with the phases in colour.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of an earlier run.")
    ] = False,
    device: DeviceOption = "auto",
    flips: FlipsOption = None,
    json_target: JsonOption = None,
) -> None:
    """Segment micrographs into phases.

    For each image NAME this writes NAME_labels.tif (0 not classified, 1..K
    the phases, 255 excluded) and NAME.json (the record: model, ratio, area
    shares).

    \b
    [bold]Examples[/bold]
      phaseguide segment steel.tif --model uhcs --out results
      phaseguide segment steel.tif -m uhcs --ratio "3=70%" --out results
      phaseguide segment folder/ -m uhcs --ratio auto --out results --json -

    A share that your ratio had a part in is no independent measurement; the
    column "own" is.
    """  # noqa: D301
    from phaseguide.micrographs.label_maps import read_label_map
    from phaseguide.models.zoo import open_model
    from phaseguide.segmentation.batch import BatchOptions, existing_results, find_images, segment_files
    from phaseguide.segmentation.device import choose_device
    from phaseguide.segmentation.request import Request

    unsure = resolve_uncertainty(uncertainty, exact)
    acts = check_mode(mode)
    files = find_images(images)
    if edits is not None and len(files) > 1:
        raise PhaseguideError(
            f"--edits belongs to one image, but there are {len(files)}. Segment that one by itself."
        )
    taken = existing_results(files, out, overlay=overlay)
    if taken and not overwrite:
        raise PhaseguideError(
            f"{taken[0]} exists already{f', with {len(taken) - 1} more' if len(taken) > 1 else ''}. "
            "Choose another --out, or add --overwrite."
        )
    choose_device(device)
    painted = None if edits is None else read_label_map(edits)
    opened = open_model(model)
    asked, auto = _parse_wish(ratio, opened.card.scheme)
    request = Request(
        asked=asked,
        auto=auto,
        uncertainty=unsure,
        mode=acts,
        smoothing_px=smoothing,
        min_island_px=min_island,
    )
    options = BatchOptions(
        exclude_info_bar=exclude_info_bar, device=device, flips=flips, overlay=overlay, source=source
    )
    outcomes = draw(segment_files(files, opened, request, out, options, edits=painted))
    _report(outcomes, request, opened.card.name, ratio, json_target)


def _parse_wish(text: str, scheme: PhaseScheme) -> tuple[Any, bool]:
    """Return the asked ratio and whether the model estimates it."""
    from phaseguide.ratios import parse_ratio

    wish = text.strip().lower()
    if wish in ("none", ""):
        return None, False
    if wish == "auto":
        return None, True
    return parse_ratio(text, scheme), False


def _report(
    outcomes: tuple[ImageDone | ImageFailed, ...],
    request: Request,
    model: str,
    ratio: str,
    json_target: str | None,
) -> None:
    from phaseguide.segmentation.batch import ImageDone, ImageFailed
    from phaseguide.segmentation.saving import CONSTRAINED, phase_rows

    done = [o for o in outcomes if isinstance(o, ImageDone)]
    failed = [o for o in outcomes if isinstance(o, ImageFailed)]
    if len(outcomes) == 1 and failed:
        raise failed[0].error
    table = make_table("Area %", ("image", "phase", "asked", "imposed", "achieved", "own"), left=2)
    rows = []
    for outcome in done:
        phases = phase_rows(outcome.segmentation)
        for index, phase in enumerate(phases):
            name = outcome.image.name if index == 0 else ""
            table.add_row(name, phase["name"], *share_columns(phase), end_section=index == len(phases) - 1)
        files = outcome.files
        rows.append(
            {
                "image": str(outcome.image),
                "labels": str(files.labels),
                "record": str(files.record),
                "overlay": None if files.overlay is None else str(files.overlay),
                "constrained": outcome.segmentation.constrained,
                "mode": outcome.segmentation.mode,
                "phases": phases,
                "notices": list(outcome.segmentation.notices),
            }
        )
    console = page(json_target)
    if done:
        console.print(table)
        if any(o.segmentation.constrained for o in done):
            console.print(f"achieved: {CONSTRAINED}; own: without the ratio", markup=False)
        console.print(f"Results in {done[0].files.labels.parent}", markup=False, soft_wrap=True)
    write_json(
        json_target,
        {
            "model": model,
            "ratio": ratio,
            "uncertainty": request.uncertainty if request.asked is not None else None,
            "images": rows,
            "failed": [{"image": str(o.image), "error": str(o.error)} for o in failed],
        },
    )
    if failed:
        say_error(f"{len(failed)} of {len(outcomes)} images could not be segmented:")
        for failure in failed:
            say_error(f"  {failure.error}")
        raise typer.Exit(EXIT_SOME_FAILED)
