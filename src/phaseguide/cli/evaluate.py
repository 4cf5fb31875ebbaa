"""``phaseguide evaluate``: how good a model is on labelled images, with ratios of one source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import MOST_OPENING, REPEATS, SEED, THRESHOLDS, finite
from phaseguide.cli.shared.output import (
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
    percent,
    resolve_uncertainty,
    write_json,
)
from phaseguide.cli.shared.progress import draw

if TYPE_CHECKING:
    from phaseguide.evaluation.evaluate import StudyResult

COUNTS = ("tp", "fp", "fn")


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with images/ and labels/.")],
    model: ModelOption,
    ratio: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="none, oracle (the true ratio), train-mean, auto (the model's estimate), expert:S (the truth "
            "times exp(S g)) or guess:A (the published guess).",
        ),
    ] = "none",
    uncertainty: UncertaintyOption = None,
    exact: ExactOption = False,
    mode: ModeOption = None,
    seed: Annotated[int, typer.Option(**SEED, help="Seed of the expert's errors.")] = 0,
    repeats: Annotated[
        int, typer.Option(**REPEATS, metavar="R", help="Draws of expert:S, repeats of guess:A.")
    ] = 20,
    only: Annotated[
        list[str] | None, typer.Option(metavar="STEM", help="Evaluate only this image; may be repeated.")
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write pictures of each phase into a new folder (white hit, cyan false alarm, magenta miss), and "
            "sheets of the worst and best images.",
        ),
    ] = None,
    over_iou: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="IOU",
            callback=finite,
            help="Tell the share of the images with at least this IoU.",
        ),
    ] = None,
    opening: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_OPENING,
            metavar="PX",
            help="Tell also the scores after opening and closing with a disk of this radius; two phases only.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=THRESHOLDS[0],
            max=THRESHOLDS[1],
            metavar="P",
            callback=finite,
            help="Tell also the scores where the second of two phases is given over this probability (the map itself "
            "has 0.5), before --opening if that is asked for; without a ratio only.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    flips: FlipsOption = None,
    json_target: JsonOption = None,
) -> None:
    """Compare a model with labels, without a ratio or with one.

    The labels judge the predictions and make the ratio of oracle, expert and
    guess; the model never sees them. Scores pool the pixels of all images.

    \b
    [bold]Examples[/bold]
      phaseguide evaluate test/ --model uhcs
      phaseguide evaluate test/ -m uhcs --ratio expert:0.1 --json scores.json
      phaseguide evaluate test/ -m uhcs --ratio oracle --exact
      phaseguide evaluate test/ -m uhcs --overlays pictures/ --over-iou 0.7
      phaseguide evaluate test/ -m islands --threshold 0.3 --opening 2
    """  # noqa: D301
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.evaluation.evaluate import evaluate as run_study
    from phaseguide.evaluation.overlays import Pictures
    from phaseguide.evaluation.post_processing import PostProcessing
    from phaseguide.evaluation.ratio_source import parse_source
    from phaseguide.evaluation.watching import watched
    from phaseguide.models.zoo import open_model
    from phaseguide.segmentation.network.device import choose_device

    source, acts = parse_source(ratio), check_mode(mode)
    unsure = resolve_uncertainty(uncertainty, exact)
    choose_device(device)
    opened = open_dataset(dataset)
    if only:
        opened = opened.only(only)
    loaded = open_model(model)
    pictures = None if overlays is None else Pictures(overlays)
    mended = None
    if threshold is not None or opening is not None:
        mended = PostProcessing(loaded.card.scheme, source, threshold, opening)
    events = run_study(
        opened,
        loaded,
        source,
        uncertainty=unsure,
        mode=acts,
        repeats=repeats,
        seed=seed,
        device=device,
        flips=flips,
    )
    result = draw(watched(events, opened, [one for one in (pictures, mended) if one is not None]))
    more = {
        "over_iou": None if over_iou is None else {"iou": over_iou, "share": result.over_iou(over_iou)},
        "post_processed": None if mended is None else mended.to_dict(),
    }
    show_study(result, json_target)
    _show_more(more, "" if mended is None else mended.describe(), json_target)
    write_json(json_target, {**result.to_dict(), **more})


def show_study(result: StudyResult, json_target: str | None) -> None:
    """Print the numbers of a study as a table."""
    console = page(json_target)
    how = [f"ratio {result.source}"]
    if result.uncertainty is not None:
        how.append("exact" if result.uncertainty == 0 else f"uncertainty {result.uncertainty:g}")
    if result.mode is not None:
        how.append(result.mode)
    if result.repeats > 1:
        how.append(f"{result.repeats} repeats, seed {result.seed}")
    images = len(result.per_image)
    console.print(
        f"{result.model} on {images} image{'s' if images != 1 else ''}: {', '.join(how)}",
        style="bold",
        soft_wrap=True,
    )
    table = make_table("", ("phase", "Dice %", "IoU %", "TP", "FP", "FN"))

    def cell(*path: str) -> str:
        mean, spread = _at(result.pooled, path), _at(result.pooled_std, path)
        return percent(mean) + (f" ± {percent(spread)}" if result.repeats > 1 and mean is not None else "")

    def pixels(*path: str) -> str:
        return f"{_at(result.pooled, path) or 0:.0f}"

    for name in result.scheme.names:
        table.add_row(name, cell("dice", name), cell("iou", name), *(pixels(kind, name) for kind in COUNTS))
    table.add_section()
    table.add_row("mean over phases", cell("dice_mean"), cell("miou"))
    table.add_row("all pixels", f"accuracy {cell('accuracy')}", f"micro-IoU {cell('micro_iou')}")
    console.print(table)
    console.print(
        f"Area fractions: {result.fraction_mae_pp:.2f} percentage points from the truth on average", end=""
    )
    console.print(f" ({result.own_fraction_mae_pp:.2f} without a ratio).")
    if result.imposed_achieved_mae_pp is not None:
        console.print(
            f"Achieved and imposed differ by {result.imposed_achieved_mae_pp:.3f} percentage points."
        )
    if result.asked_achieved_mae_pp is not None:
        console.print(f"Achieved and asked differ by {result.asked_achieved_mae_pp:.3f} percentage points.")


def _show_more(more: dict[str, Any], how: str, json_target: str | None) -> None:
    """Print what was asked for beside the study; ``how`` begins the sentence on what post-processing made."""
    console = page(json_target)
    if over := more["over_iou"]:
        shares = ", ".join(f"{name} {percent(share)} %" for name, share in over["share"].items())
        console.print(f"Images with an IoU of at least {over['iou']:g}: {shares}.", soft_wrap=True)
    if made := more["post_processed"]:
        scores = ", ".join(
            f"{name} IoU {percent(iou)} %, " + ", ".join(f"{k.upper()} {made[k][name]:.0f}" for k in COUNTS)
            for name, iou in made["iou"].items()
        )
        console.print(f"{how}: {scores}.", soft_wrap=True)


def _at(table: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = table
    for key in path:
        value = value[key]
    return None if value is None else float(value)
