"""``phaseguide demo``: the main job on real micrographs, in napari or, without a screen, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.napari import HOW_TO_INSTALL, has_display, napari_is_installed, run_python
from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.output import (
    STANDARD_OUTPUT,
    DeviceOption,
    JsonOption,
    make_table,
    page,
    percent,
    share_columns,
    write_json,
)
from phaseguide.cli.shared.progress import draw

if TYPE_CHECKING:
    from rich.console import Console

    from phaseguide.evaluation.demo import DemoField
    from phaseguide.models.model_file import LoadedModel

WITHOUT = "_without_ratio"


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Print a table even if there is a screen.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results of a run without a window.")
    ] = Path("phaseguide-demo"),
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="M", help="Name or file of a model.")
    ] = "uhcs",
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Segment the sample micrographs that have the phases of a model.

    With a screen napari opens on a sample, the widget docked and the
    segmentation there. Without one all of them are segmented without a
    ratio and with that of a simulated expert; a table is printed, and label
    maps, records and overlay pictures are written to --out.

    \b
    [bold]Examples[/bold]
      phaseguide demo
      phaseguide demo --headless --out results
    """  # noqa: D301
    from phaseguide.evaluation.demo import demo_samples
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model

    samples = demo_samples(read_card(find_model(model)))
    if not headless and json_target is None:
        if not napari_is_installed():
            say_notice(f"napari is not installed, so no window opens. {HOW_TO_INSTALL}")
        elif not has_display():
            say_notice(
                "There is no screen that a window could open on; the results come as a table and files."
            )
        else:
            page(json_target).print(
                "Opening napari. When the segmentation is there, type what you expect, such as 71 for spheroidite, "
                "into Expected area %: the mask follows.",
                soft_wrap=True,
            )
            run_python("-m", "phaseguide.widgets.start", samples[0], model)
            return
    from phaseguide.evaluation.demo import demonstrate
    from phaseguide.jobs.precheck import check_results
    from phaseguide.models.zoo import open_model
    from phaseguide.segmentation.network.device import choose_device

    choose_device(device)
    stems = [stem for name in samples for stem in (name, f"{name}{WITHOUT}")]
    numbers = [] if json_target in (None, STANDARD_OUTPUT) else [json_target]
    check_results([Path(stem) for stem in stems], out, overlay=True, replace=True, others=numbers)
    opened = open_model(model)
    fields = draw(demonstrate(opened, device=device))
    console = page(json_target)
    for field in fields:
        _show(field, console)
        _save(field, opened, out)
    console.print(f"Label maps, records and overlay pictures are in {out}", soft_wrap=True)
    write_json(json_target, {"model": opened.card.name, "samples": [f.to_dict() for f in fields]})


def _show(field: DemoField, console: Console) -> None:
    from phaseguide.evaluation.demo import RATIO_SOURCE
    from phaseguide.evaluation.tables import mean_known
    from phaseguide.segmentation.saving import CONSTRAINED, phase_rows

    columns = ("phase", "asked", "imposed", "achieved", "own", "true", "Dice", "+ ratio")
    table = make_table(f"{field.sample.title}: area %, and Dice % without and with the ratio", columns)
    for i, phase in enumerate(phase_rows(field.guided)):
        table.add_row(
            phase["name"],
            *share_columns(phase),
            percent(float(field.true[i])),
            _score(field.plain_scores.dice[i]),
            _score(field.guided_scores.dice[i]),
        )
    table.add_section()
    table.add_row(
        "mean",
        "",
        "",
        "",
        "",
        "",
        _score(field.plain_scores.dice_mean),
        _score(field.guided_scores.dice_mean),
    )
    console.print(table)
    console.print(f"asked: {RATIO_SOURCE}")
    console.print(f"achieved: {CONSTRAINED}; own: without the ratio")
    # In percentage points; open phases say nothing.
    pair: tuple[Any, Any] = field.guided.asked, field.plain.own
    asked, own = (100 * mean_known(abs(shares - field.true)) for shares in pair)
    nearer = "the expert is the nearer one" if asked < own else "this expert happened to be poor"
    console.print(
        f"asked is {asked:.2f} points from the truth on average, own {own:.2f}: {nearer}",
    )
    console.print()


def _score(value: Any) -> str:
    return "absent" if value != value else percent(float(value))


def _save(field: DemoField, model: LoadedModel, out: Path) -> None:
    from phaseguide.evaluation.demo import RATIO_SOURCE
    from phaseguide.segmentation.saving import save_segmentation

    sample = field.sample
    for stem, segmentation, source in (
        (sample.name, field.guided, RATIO_SOURCE),
        (f"{sample.name}{WITHOUT}", field.plain, None),
    ):
        save_segmentation(
            out, stem, segmentation, model, sample.image_path, sample.image, None, overlay=True, source=source
        )
