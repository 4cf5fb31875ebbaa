"""``phaseguide benchmark folds``: train and test on folds, and report what a ratio is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from phaseguide.cli.shared.limits import REPEATS
from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.dataset import choose_scheme
from phaseguide.cli.train.epochs import print_epoch
from phaseguide.cli.train.sam import dataset_config
from phaseguide.cli.train.settings import parse_settings, read_card_entries, read_inference
from phaseguide.events import Finished
from phaseguide.files.json_files import json_bytes
from phaseguide.studies.commands.options import (
    DrawSeedOption,
    FoldsOption,
    LabelledArgument,
    PhasesOption,
    SchemeOption,
    choose,
)
from phaseguide.training.config import TrainingConfig


def folds(
    dataset: LabelledArgument,
    folds_file: FoldsOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the models, one a fold.")],
    starts: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Start each fold from its model of an earlier run in this folder."),
    ] = None,
    phases: PhasesOption = None,
    scheme: SchemeOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of the training; may be repeated."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Test in the way that this card file says (its entry inference)."),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the calibration of all folds into this card file."),
    ] = None,
    study: Annotated[
        str,
        typer.Option(
            metavar="belief|conditioning|fusion",
            help="belief: ratios of every quality, by matching. conditioning: what the network does with one. "
            "fusion: guidance on scores, learnt on the other folds.",
        ),
    ] = "belief",
    repeats: Annotated[int, typer.Option(**REPEATS, help="Draws of the simulated expert.")] = 20,
    seed: DrawSeedOption = 0,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Train one model a fold, test each on its own fold, and compare what ratios are worth.

    Stop with Ctrl-C at any time; the same command goes on where it stopped.

    [bold]Example[/bold]

    \b
      phaseguide benchmark folds data/steel --folds folds.json --out runs/steel --json folds-result.json
    """  # noqa: D301
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.files.atomic import check_writable
    from phaseguide.studies.folds.report import to_lines
    from phaseguide.studies.folds.rows import ROWS
    from phaseguide.studies.report import publish

    choose("--study", study, ROWS)
    data = open_dataset(dataset)
    resolved = choose_scheme(data, phases, scheme, None)
    given = {"device": device, **parse_settings(settings or [], TrainingConfig)}
    config = dataset_config(None, given, None, "", given["device"])
    if calibrate is not None:
        read_card_entries(calibrate if calibrate.exists() else None)
        check_writable(calibrate)
    events = _run(data, resolved, folds_file, config, out, starts, card, study, repeats, seed)
    report = draw(events, print_epoch)
    publish(to_lines(report), report, json_target)
    if calibrate is not None:
        _write_calibration(calibrate, report["calibration"])


def _write_calibration(path: Path, calibration: dict[str, Any]) -> None:
    """Put the calibration into a card file; its other entries stay."""
    from phaseguide.files.atomic import write_bytes

    entries = read_card_entries(path if path.exists() else None)
    write_bytes(path, json_bytes({**entries, "calibration": calibration}))


def _run(
    data: Any,
    scheme: Any,
    folds_file: Path,
    config: TrainingConfig,
    out: Path,
    starts: Path | None,
    card: Path | None,
    study: Any,
    repeats: int,
    seed: int,
) -> Iterator[Any]:
    from phaseguide.studies.folds.cross_validation import cross_validate
    from phaseguide.studies.folds.report import report_folds
    from phaseguide.studies.folds.rows import FoldModel
    from phaseguide.training.crossfit.fold_models import FoldTrained
    from phaseguide.training.crossfit.folds import read_folds

    names = read_folds(folds_file, data)
    inference = read_inference(card)
    models: list[FoldModel] = []
    for event in cross_validate(data, scheme, names, config, out, starts=starts):
        if isinstance(event, FoldTrained):
            models.append(FoldModel(event.fold, event.path, event.test))
        elif not isinstance(event, Finished):
            yield event
    before = [replace(m, path=starts / m.path.name) for m in models] if starts is not None else []
    for step in report_folds(
        data,
        models,
        study=study,
        repeats=repeats,
        seed=seed,
        device=config.device,
        inference=inference,
        unguided=before,
        scores=out / "scores",
    ):
        if isinstance(step, Finished):
            yield Finished({**step.result, "training": config.to_dict()})
        else:
            yield step
