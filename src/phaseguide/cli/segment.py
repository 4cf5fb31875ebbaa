"""``phaseguide segment``: image files in, label maps and records out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.embeddings import EmbeddingsLimitOption, EmbeddingsOption, read_embeddings
from phaseguide.cli.shared.errors import leave_with, say_notice
from phaseguide.cli.shared.limits import MOST_PIXELS, MOST_SMOOTHING, finite
from phaseguide.cli.shared.output import (
    STANDARD_OUTPUT,
    DeviceOption,
    FlipsOption,
    JsonOption,
    MarginsOption,
    ModelOption,
    ModeOption,
    RuntimeOption,
    TileOption,
    check_mode,
    make_table,
    page,
    percent,
    share_columns,
    write_json,
)
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.shared.ratio_options import (
    BasisOption,
    DensityOption,
    EstimatorOption,
    MaterialOption,
    PresetOption,
    RatioExactOption,
    RatioOption,
    RatioOptions,
    RatioUncertaintyOption,
    SavePresetOption,
    ScopeOption,
    SourceOption,
    keep_preset,
    read_ratio_options,
)
from phaseguide.errors import PhaseguideError

if TYPE_CHECKING:
    from phaseguide.jobs.segment_files import ImageDone, ImageFailed
    from phaseguide.segmentation.request import Request


def segment(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files and folders of images.")
    ],
    model: ModelOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if missing.")],
    ratio: RatioOption = None,
    estimator: EstimatorOption = None,
    basis: BasisOption = None,
    density: DensityOption = None,
    source: SourceOption = None,
    uncertainty: RatioUncertaintyOption = None,
    exact: RatioExactOption = False,
    scope: ScopeOption = None,
    preset: PresetOption = None,
    material: MaterialOption = None,
    save_preset: SavePresetOption = None,
    mode: ModeOption = None,
    smoothing: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=MOST_SMOOTHING,
            callback=finite,
            metavar="PX",
            help="Smooth the scores by this many pixels; 0 is off.",
        ),
    ] = 0.0,
    min_island: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_PIXELS,
            metavar="PX",
            help="Islands of fewer pixels join their surroundings; 0 is off.",
        ),
    ] = 0,
    edits: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Label map of what you know: 1..K that phase, 255 excluded, 0 nothing."
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON of parts with ratios of their own: {"regions": [{"name": "coating", "polygon": '
            '\\[\\[row, column], ...], "ratio": "1=20%"}]}. --ratio is then about the rest of the image.',
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of boxes and points that show a model which takes them where a phase is: columns "
            'phase,top,left,bottom,right and phase,row,column; "not ferrite" at a point that is not it.',
        ),
    ] = None,
    exclude_info_bar: MarginsOption = True,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a picture with the phases in colour.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of an earlier run.")
    ] = False,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    flips: FlipsOption = None,
    tile: TileOption = None,
    embeddings: EmbeddingsOption = None,
    embeddings_gb: EmbeddingsLimitOption = None,
    json_target: JsonOption = None,
) -> None:
    """Segment micrographs into phases.

    For each image NAME this writes NAME_labels.tif (0 not classified, 1..K
    the phases, 255 excluded) and NAME.json (the record: model, ratio, area
    shares). Of a stack every plane is segmented; the labels are a stack too.

    \b
    [bold]Examples[/bold]
      phaseguide segment steel.tif --model uhcs --out results
      phaseguide segment steel.tif -m uhcs --ratio "3=70%" --out results
      phaseguide segment folder/ -m uhcs --ratio auto --out results --json -
      phaseguide segment steel.tif -m uhcs --ratio auto \\
        --estimator autoregressive --out results
      phaseguide segment folder/ -m uhcs --ratio "2=12%" --source bulk \\
        --basis weight --density "1=7.87,2=7.69,3=7.84,4=7.8" --out results

    The last one is X-ray diffraction of the specimen: its weight % become
    area %, and the mean of the images meets them, not every image.

    A share that your ratio had a part in is no independent measurement; the
    column "own" is.
    """  # noqa: D301
    from phaseguide.jobs.image_files import find_images
    from phaseguide.jobs.precheck import check_channels, check_results
    from phaseguide.jobs.segment_files import BatchOptions, segment_files
    from phaseguide.micrographs.label_maps import read_label_map
    from phaseguide.micrographs.reading import read_micrograph
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model, open_model
    from phaseguide.segmentation.constraints.prompt_files import read_prompts
    from phaseguide.segmentation.constraints.region_files import read_regions
    from phaseguide.segmentation.network.device import check_runtime, choose_device
    from phaseguide.segmentation.request import Request

    acts = check_mode(mode)
    card = read_card(find_model(model))
    ratio_options = read_ratio_options(
        card,
        ratio=ratio,
        basis=basis,
        density=density,
        source=source,
        uncertainty=uncertainty,
        exact=exact,
        scope=scope,
        preset=preset,
        material=material,
        estimator=estimator,
    )
    files = find_images(images, say_notice)
    check_channels(card)
    for option, value in (("--edits", edits), ("--regions", regions), ("--prompts", prompts)):
        if value is not None and len(files) > 1:
            raise PhaseguideError(
                f"{option} belongs to one image, but there are {len(files)}. Segment that one by itself."
            )
        if value is not None and option != "--edits" and ratio_options.scope == "specimen":
            raise PhaseguideError(
                f"{option} belong to one field, but the ratio is about the specimen. Leave one of them out, or add "
                "--scope field."
            )
    numbers = [] if json_target in (None, STANDARD_OUTPUT) else [json_target]
    check_results(files, out, overlay=overlay, replace=overwrite, others=numbers)
    choose_device(device)
    check_runtime(runtime)
    kept = read_embeddings(embeddings, embeddings_gb)
    painted = None if edits is None else read_label_map(edits)
    opened = open_model(model)
    if save_preset is not None:
        keep_preset(ratio_options, save_preset, material, overwrite=overwrite)
    # What is drawn on an image needs its size; it is decoded for that, and not again.
    drawn_on = None if regions is None and prompts is None else read_micrograph(files[0])
    shape = (0, 0) if drawn_on is None else drawn_on.plane_shape
    scheme = opened.card.scheme
    request = Request(
        asked=ratio_options.asked,
        auto=ratio_options.auto,
        estimator=ratio_options.estimator,
        uncertainty=ratio_options.uncertainty,
        mode=acts,
        smoothing_px=smoothing,
        min_island_px=min_island,
        regions=() if regions is None else read_regions(regions, shape, scheme, ratio_options.uncertainty),
        prompts=None if prompts is None else read_prompts(prompts, shape, scheme),
    )
    options = BatchOptions(
        exclude_info_bar=exclude_info_bar,
        device=device,
        runtime=runtime,
        flips=flips,
        tile=tile,
        overlay=overlay,
        replace=overwrite,
        embeddings=kept,
        source=ratio_options.source,
        scope=ratio_options.scope,
        details=ratio_options.details,
    )
    outcomes = draw(segment_files(files, opened, request, out, options, edits=painted, known=drawn_on))
    _report(outcomes, request, opened.card.name, ratio_options, json_target)


def _report(
    outcomes: tuple[ImageDone | ImageFailed, ...],
    request: Request,
    model: str,
    ratio_options: RatioOptions,
    json_target: str | None,
) -> None:
    from phaseguide.jobs.segment_files import ImageDone, ImageFailed
    from phaseguide.segmentation.saving import constraint_note, phase_rows

    done = [o for o in outcomes if isinstance(o, ImageDone)]
    failed = [o for o in outcomes if isinstance(o, ImageFailed)]
    if len(outcomes) == 1 and failed:
        raise failed[0].error
    table = make_table("Area %", ("image", "phase", "asked", "imposed", "achieved", "±1 px", "own"), left=2)

    def tabulate(title: str, phases: list[dict[str, Any]]) -> None:
        for index, phase in enumerate(phases):
            name = title if index == 0 else ""
            asked, imposed, achieved, own = share_columns(phase)
            moved = "–".join(percent(phase[key]) for key in ("eroded", "dilated"))
            cells = (asked, imposed, achieved, moved if phase["eroded"] is not None else "", own)
            table.add_row(name, phase["name"], *cells, end_section=index == len(phases) - 1)

    for outcome in done:
        planes = f", {len(outcome.planes)} planes" if len(outcome.planes) > 1 else ""
        tabulate(outcome.image.name + planes, phase_rows(outcome.segmentation))
    mean = _mean_rows(done) if ratio_options.scope == "specimen" and len(done) > 1 else None
    if mean is not None:
        tabulate(f"mean of {len(done)} images", mean)
    console = page(json_target)
    if ratio_options.conversion:
        console.print(ratio_options.conversion, soft_wrap=True)
    if done:
        console.print(table)
        notes = dict.fromkeys(note for o in done if (note := constraint_note(o.segmentation)))
        if notes:
            rest = "without the ratio" + (" and without prompts" if request.prompts is not None else "")
            console.print(f"achieved: {'; '.join(notes)}; own: {rest}")
        elif ratio_options.auto:
            console.print("imposed: the model's own estimate; no value of yours had a part in it")
        console.print("±1 px: achieved if every boundary of the phase lay 1 px further in or out")
        console.print(f"Results in {done[0].files.labels.parent}", soft_wrap=True)
    write_json(
        json_target,
        {
            "model": model,
            **ratio_options.told(request),
            "images": [_image_row(outcome) for outcome in done],
            "mean": mean,
            "failed": [{"image": str(o.image), "error": str(o.error)} for o in failed],
        },
    )
    if failed:
        message = f"{len(failed)} of {len(outcomes)} images could not be segmented:"
        leave_with(message, (failure.error for failure in failed))


def _image_row(outcome: ImageDone) -> dict[str, Any]:
    from phaseguide.segmentation.saving import found_row, phase_rows

    files, result = outcome.files, outcome.segmentation
    planes = [{"plane": i, "phases": phase_rows(plane)} for i, plane in enumerate(outcome.planes)]
    return {
        "image": str(outcome.image),
        "labels": str(files.labels),
        "record": str(files.record),
        "overlay": None if files.overlay is None else str(files.overlay),
        "constrained": result.constrained,
        "mode": result.mode,
        "estimator": found_row(result),
        "phases": phase_rows(result),
        "planes": planes if len(planes) > 1 else None,
        "notices": list(result.notices),
    }


def _mean_rows(done: list[ImageDone]) -> list[dict[str, Any]]:
    """Rows of the shares of all images together."""
    from phaseguide.segmentation.saving import phase_rows
    from phaseguide.segmentation.stacks import area_px, mean_shares

    results = [outcome.segmentation for outcome in done]
    areas = [area_px(result.labels) for result in results]
    means = {
        key: mean_shares([getattr(r, key) for r in results], areas) for key in ("own", "imposed", "achieved")
    }
    # The maps are still those of the first image, so nothing that is measured on a map is told.
    rows = phase_rows(replace(results[0], **means))  # type: ignore[arg-type]
    return [{**row, "eroded": None, "dilated": None} for row in rows]
