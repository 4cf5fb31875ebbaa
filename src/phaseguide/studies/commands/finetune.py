"""``phaseguide benchmark finetune``: how much a simulated user's strokes teach, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import MOST_REPEATS, REPEATS, SEED
from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import FoldsOption, LabelledArgument, SchemeOption, choose, parts_of

if TYPE_CHECKING:
    from rich.console import Console


def finetune(
    dataset: LabelledArgument,
    folds_file: FoldsOption,
    models: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Models of these folds (phaseguide benchmark folds --out DIR)."),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Results, one a line; a run that was stopped goes on from it."),
    ],
    scheme: SchemeOption = None,
    stories: Annotated[
        str, typer.Option(metavar="new,known,fields,places", help="Which stories; several with commas.")
    ] = "new,known,fields,places",
    only: Annotated[str, typer.Option("--only", metavar="A,B,...", help="Only these folds.")] = "",
    turns: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_REPEATS, help="Images of each fold that are painted in their turn; 0 for all."
        ),
    ] = 0,
    start: Annotated[
        str | None,
        typer.Option(metavar="M", help="Model of another material that a new steel starts from."),
    ] = None,
    new_preset: Annotated[
        str, typer.Option(metavar="PRESET", help="How a new steel learns: a preset of fine-tuning.")
    ] = "new steel",
    known_preset: Annotated[str, typer.Option(metavar="PRESET", help="How a known steel learns.")] = "fast",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of the learning; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(**REPEATS, help="Seeds of the comparison of places.")] = 3,
    visits: Annotated[int, typer.Option(**REPEATS, help="Places that the user visits in a round.")] = 8,
    place_user: Annotated[
        str, typer.Option(metavar="corrects|labels", help="In a place: only correct, or also confirm.")
    ] = "labels",
    place_ways: Annotated[
        str,
        typer.Option(metavar="WAY,...", help="ranked, ratio, entropy, random; oracles: mistakes, balanced."),
    ] = "",
    place_steel: Annotated[
        str,
        typer.Option(
            metavar="known|new", help="Places for the fold's model, or after one stroke of each new phase."
        ),
    ] = "known",
    seed: Annotated[int, typer.Option(**SEED, help="Seed of strokes, rehearsal, experts and learning.")] = 0,
    development: Annotated[
        str,
        typer.Option(metavar="A", help="Fold that settings were chosen on; aims are also given without it."),
    ] = "A",
    device: DeviceOption = "cpu",
    json_target: JsonOption = None,
) -> None:
    """Let a simulated user paint, and measure what is learnt on pixels and images that were not painted.

    Stop with Ctrl-C at any time; the same command goes on where it stopped.

    [bold]Example[/bold]

    \b
      phaseguide benchmark finetune data/steel --folds folds.json --models runs/steel --out finetune.jsonl
    """  # noqa: D301
    from phaseguide.cli.train.dataset import choose_scheme
    from phaseguide.cli.train.settings import parse_settings
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.finetuning.config import FinetuneConfig
    from phaseguide.jobs.finetune_start import make_config
    from phaseguide.models.zoo import open_model
    from phaseguide.studies.finetune.places import USER_NAMES, WAY_NAMES, WAYS, PlaceOptions
    from phaseguide.studies.finetune.report import summarise, to_lines
    from phaseguide.studies.finetune.scenarios import KNOWN_STEEL, NEW_STEEL, StoryOptions
    from phaseguide.studies.finetune.study import STORY_NAMES, StudyOptions, finetune_study
    from phaseguide.studies.report import publish
    from phaseguide.studies.speed.machine import describe_machine
    from phaseguide.training.crossfit.folds import read_folds

    data = open_dataset(dataset)
    given = {"device": device, "seed": seed, **parse_settings(settings or [], FinetuneConfig)}
    configs = [make_config(name, given) for name in (new_preset, known_preset)]
    options = StudyOptions(
        StoryOptions(new_config=configs[0], known_config=configs[1], seed=seed),
        PlaceOptions(
            visits=visits,
            seeds=seeds,
            user=choose("--place-user", place_user, USER_NAMES),
            ways=tuple(choose("--place-ways", word, WAY_NAMES) for word in parts_of(place_ways)) or WAYS,
            steel=choose("--place-steel", place_steel, {"known": KNOWN_STEEL, "new": NEW_STEEL}),
        ),
        start or "",
    )
    rows = draw(
        finetune_study(
            data,
            read_folds(folds_file, data),
            models,
            choose_scheme(data, None, scheme, None),
            out,
            options,
            stories=[choose("--stories", word, STORY_NAMES) for word in parts_of(stories)],
            only=parts_of(only),
            turns=turns,
            start=None if start is None else open_model(start),
        ),
        _print_row,
    )
    report = {
        "machine": {**describe_machine(), "threads": configs[0].used_threads()},
        "options": {"new": configs[0].to_dict(), "known": configs[1].to_dict(), "seed": seed, "start": start},
        **summarise(rows, development),
    }
    publish(to_lines(report), report, json_target)


def _print_row(row: Any, console: Console) -> None:
    """Print a result as it comes; other events are passed over."""
    if not isinstance(row, dict):
        return
    import numpy as np

    from phaseguide.evaluation.confusion import scores_from_confusion

    dice = {
        part: 100 * scores_from_confusion(np.array(row[part])).dice_mean
        for part in ("unpainted", "field", "others", "old", "field_matched", "others_matched")
        if row.get(part) is not None
    }
    seconds = "" if row.get("round_s") is None else f", {row['round_s']:.0f} s"
    console.print(
        f"{row['story']}, fold {row['fold']}, {row['painted']}, {row['method']}, round {row['round']}: Dice "
        + ", ".join(f"{part} {value:.1f}" for part, value in dice.items())
        + f"; {row['painted_px']} px{seconds}",
        soft_wrap=True,
    )
