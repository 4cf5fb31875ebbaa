"""``phaseguide train``: a folder of labelled images in, a model file out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import SEED, THREADS
from phaseguide.cli.shared.output import (
    STANDARD_OUTPUT,
    DeviceOption,
    JsonOption,
    make_table,
    page,
    percent,
    write_json,
)
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.epochs import print_epoch
from phaseguide.cli.train.project import train_project
from phaseguide.cli.train.sam import base_checksum, dataset_config
from phaseguide.cli.train.settings import CARD_KEYS, checked_entries, parse_settings, with_entries
from phaseguide.errors import ModelError, OutputError, PhaseguideError, TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.files.foreign import free_path
from phaseguide.option_values import FINETUNE_PRESETS, TRAINING, TRAINING_PRESETS

if TYPE_CHECKING:
    from phaseguide.datasets.folder import Dataset
    from phaseguide.models.card import Card
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.models.segmenter import GuidedSegmenter
    from phaseguide.phases import PhaseScheme
    from phaseguide.training.config import TrainingConfig
    from phaseguide.training.data import TrainingImage
    from phaseguide.training.events import TrainingResult


def train(
    context: typer.Context,
    dataset: Annotated[
        Path | None, typer.Argument(metavar="[DATASET]", help="Folder with images/ and labels/.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Model file to write (.safetensors).")
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Fine-tune on a project instead; the model becomes a version of it."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"With --project: {', '.join(FINETUNE_PRESETS)}; default: adapters for a model that has some, else "
            "fast. "
            f"With DATASET: {', '.join(TRAINING_PRESETS)}.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="With --project: do not go on with an interrupted run.")
    ] = False,
    use: Annotated[bool, typer.Option("--use", help="With --project: put the new version to use.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the model; default: that of the file.")] = None,
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Names of labels 1, 2, ... where the folder has no scheme.json."
        ),
    ] = None,
    scheme: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A scheme.json where the folder has none.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="STEM", help="Leave this image out of everything; may be repeated."),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEM", help="Validate on this image; may be repeated. Default: 15 %, drawn by the seed."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            "--start",
            metavar="MODEL",
            help="Start from this model, or sam:vit_b for Segment Anything; with --project also one of its "
            "versions, or imagenet.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SHA256",
            help="Weights of Segment Anything to put adapters on; default: the official ones of the size.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Save the state after every epoch; if FILE is there, go on from it."
        ),
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="unet, unetplusplus, fpn, fpn-fine, deeplabv3plus, segformer or sam.")
    ] = TRAINING["architecture"],
    encoder: Annotated[
        str, typer.Option(help="Any encoder of segmentation-models-pytorch; of sam vit_b, vit_l or vit_h.")
    ] = TRAINING["encoder"],
    guidance: Annotated[str, typer.Option(help="none, additive, spatial, plm or ccrm.")] = TRAINING[
        "guidance"
    ],
    epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Passes over the images; guidance then learns alone for --set guidance_epochs=11 more.",
        ),
    ] = TRAINING["epochs"],
    crop: Annotated[int, typer.Option(help="Side of the square crops in px, a multiple of 32.")] = TRAINING[
        "crop"
    ],
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = TRAINING["batch"],
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = TRAINING["learning_rate"],
    patience: Annotated[
        int,
        typer.Option(min=0, help="Stop after this many validations without a better one; 0 never does."),
    ] = TRAINING["patience"],
    seed: Annotated[
        int, typer.Option(**SEED, help="The same seed, images and threads give the same model.")
    ] = TRAINING["seed"],
    threads: Annotated[int, typer.Option(**THREADS)] = TRAINING["threads"],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting of the run; may be repeated."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"JSON with more entries for the model's card: {', '.join(CARD_KEYS)}."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model file.")] = False,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Train a model on labelled micrographs.

    DATASET holds images/ and labels/ with the same names (8-bit: 0 not
    classified, 1..K the phases, 255 excluded) and usually scheme.json. A few
    labelled images are enough to start with.

    \b
    [bold]Examples[/bold]
      phaseguide train steel/ --out steel.safetensors
      phaseguide train steel/ --out steel.safetensors --phases "ferrite,bainite"
      phaseguide train steel/ --out a.safetensors --checkpoint a.ckpt
      phaseguide train steel/ --out a.safetensors --set schedule=joint
      phaseguide train steel/ --out sam.safetensors --preset sam
      phaseguide train --from uhcs --project heat-4711/ --preset thorough

    With --project the model learns from the edits, labels and ratios of its
    fields. Only settings that you give replace those of the preset.

    Stop with Ctrl-C; with --checkpoint the same command goes on where it stopped.
    """  # noqa: D301
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.finetuning.config import FinetuneConfig
    from phaseguide.jobs.finetune_start import ProjectJob, make_config, sam_size
    from phaseguide.models.zoo import SUFFIX, open_model
    from phaseguide.projects.project import Project
    from phaseguide.training.config import TrainingConfig

    common = ("epochs", "crop", "batch", "learning_rate", "patience", "seed", "threads", "device")
    given = _typed(context, common)
    if project is not None:
        if dataset is not None or out is not None:
            raise TrainingError("With --project neither a DATASET nor --out is needed. Leave them out.")
        if base is not None and not sam_size(start):
            raise TrainingError("--base is for a new model: add --from sam:vit_b, or leave --base out.")
        given |= parse_settings(settings or [], FinetuneConfig)
        make_config(preset, given)  # what is wrong with it is said before anything is loaded
        checksum, opened = base_checksum(base), Project.open(project)
        job = ProjectJob(opened, start, preset, given, checksum, name or opened.name, fresh, use)
        train_project(job, json_target)
        return
    if dataset is None or out is None:
        raise TrainingError("Give a DATASET and --out FILE, or a project with --project DIR.")
    if out.suffix != SUFFIX:
        raise TrainingError(f"{out}: a model file ends in {SUFFIX}. Change --out.")
    check_free(out, overwrite)
    given |= _typed(context, ("architecture", "encoder", "guidance")) | parse_settings(
        settings or [], TrainingConfig
    )
    config = dataset_config(preset, given, start, base_checksum(base), given.get("device", device))
    folder = open_dataset(dataset).without(exclude or [])
    first = None if start is None or sam_size(start) else open_model(start)
    resolved = choose_scheme(folder, phases, scheme, first)
    extra = checked_entries(card, resolved)
    check_outputs(out, json_target, checkpoint)
    events = _train_folder(folder, resolved, config, validation or [], name or out.stem, first, checkpoint)
    result: TrainingResult = draw(events, print_epoch)
    trained = result.card
    if first is not None:
        # What the start was trained with belongs to the history of the new weights.
        trained = trained.model_copy(update={"training": {**trained.training, "start": first.card.training}})
    saved = save_or_rescue(out, result.segmenter, with_entries(trained, extra, card), overwrite=overwrite)
    _report(result, saved, out, json_target)


def _typed(context: typer.Context, keys: tuple[str, ...]) -> dict[str, Any]:
    """Options as they were typed, without those that were left at their defaults."""
    sources = {key: getattr(context.get_parameter_source(key), "name", "") for key in keys}
    return {key: context.params[key] for key in keys if sources[key] == "COMMANDLINE"}


def check_outputs(out: Path, json_target: str | None, checkpoint: Path | None) -> None:
    """Raise `PhaseguideError` now if a file that the run will write cannot be written."""
    from phaseguide.files.atomic import check_writable

    numbers = None if json_target in (None, STANDARD_OUTPUT) else Path(json_target)
    paths = [path for path in (out, numbers, checkpoint) if path is not None]
    if len({os.path.realpath(path).casefold() for path in paths}) < len(paths):
        raise TrainingError("--out, --json and --checkpoint must be different files. Choose other names.")
    for path in paths:
        check_writable(path)


def check_free(out: Path, overwrite: bool) -> None:
    """Make sure (`OutputError`) that a model may be written to a file: a free name, or with ``overwrite`` a model's."""
    from phaseguide.models.model_file import read_card

    if not os.path.lexists(out):
        return
    if not overwrite:
        raise OutputError(f"{out} exists already. Choose another --out, or add --overwrite.")
    try:
        if out.is_symlink():
            raise ModelError("a link")
        read_card(out)
    except ModelError as error:
        raise OutputError(
            f"{out}: is there already, and is no model of Phase Guide. It stays; choose another --out."
        ) from error


def save_or_rescue(out: Path, segmenter: GuidedSegmenter, card: Card, *, overwrite: bool = True) -> Card:
    """Save a trained model; where that fails, save it into the user's data folder and say so."""
    from phaseguide.folders import user_model_folder
    from phaseguide.models.model_file import save_model

    try:
        check_free(out, overwrite)  # once more: the training may have taken a night
        return save_model(out, segmenter, card)
    except PhaseguideError as error:
        rescued = free_path(user_model_folder() / "rescued" / out.name)
        try:
            save_model(rescued, segmenter, card)
        except PhaseguideError:
            raise error from None
        raise TrainingError(f"{error} The trained model is safe in {rescued}.") from error


def _train_folder(
    folder: Dataset,
    scheme: PhaseScheme,
    config: TrainingConfig,
    validation: list[str],
    name: str,
    start: LoadedModel | None,
    checkpoint: Path | None,
) -> Iterator[Any]:
    """Read the images, then train; one generator, so that one progress bar shows both."""
    from phaseguide.training.data import load_images, seen_images, split_images
    from phaseguide.training.trainer import train as run_training

    count = len(folder.labelled().items)
    images: list[TrainingImage] = []
    for image in load_images(folder, scheme):
        images.append(image)
        yield Progress("Reading images", len(images), count)
    if start is not None and not validation:
        # The same images judge as before; drawn anew, some would be images that the start has learnt from.
        judged = start.card.training.get("images", {}).get("validation", [])
        validation = [i.stem for i in images if i.stem in judged]
    data = split_images(images, scheme, validation=validation, seed=config.seed)
    if start is not None and (known := seen_images(start.card) & {i.stem for i in data.validation}):
        learnt = known - set(start.card.training.get("images", {}).get("validation", []))
        if learnt:
            yield Notice(
                f"{start.path.name} has learnt from {', '.join(sorted(learnt))}, which now validate: the "
                "scores will look better than they are. Choose other images with --validation."
            )
    if start is not None and start.segmenter.in_channels != data.channels:
        raise TrainingError(
            f"{start.path}: was made for {start.segmenter.in_channels} channels, but the images have "
            f"{data.channels}. Choose another model to start from, or none."
        )
    yield from run_training(
        data, config, name=name, start=None if start is None else start.segmenter, checkpoint=checkpoint
    )


def choose_scheme(
    folder: Dataset, phases: str | None, scheme: Path | None, start: LoadedModel | None
) -> PhaseScheme:
    """Settle the phases: the folder's own, those named on the command line, or those of the start."""
    from phaseguide.evaluation.evaluate import check_same_scheme
    from phaseguide.phases import PhaseScheme

    if phases is not None and scheme is not None:
        raise TrainingError("--phases and --scheme both name the phases. Keep one.")
    source = str(folder.folder / "scheme.json")
    chosen = folder.scheme
    if phases is not None:
        chosen, source = PhaseScheme.from_names(p.strip() for p in phases.split(",")), "--phases"
    elif scheme is not None:
        chosen, source = PhaseScheme.read(scheme), str(scheme)
    if chosen is not None and folder.scheme is not None and chosen.names != folder.scheme.names:
        raise TrainingError(
            f"{source} names the phases {chosen.describe()}, but {folder.folder / 'scheme.json'} "
            f"{folder.scheme.describe()}. Keep one."
        )
    if start is not None and chosen is not None:
        check_same_scheme(chosen, start.card, source)
    if start is not None:
        return start.card.scheme
    if chosen is None:
        raise TrainingError(
            f'{folder.folder}: has no scheme.json. Name the phases, for example --phases "ferrite,bainite", '
            "or give a file with --scheme."
        )
    return chosen


def _report(result: TrainingResult, card: Card, out: Path, json_target: str | None) -> None:
    scores = card.scores.get("validation", {})
    table = make_table(
        f"{card.name}: best on the validation images, without a ratio", ("", "Dice %", "IoU %")
    )
    for phase in card.scheme.names:
        table.add_row(phase, percent(scores["dice"][phase]), percent(scores["iou"][phase]))
    table.add_section()
    table.add_row("mean over phases", percent(scores["dice_mean"]), percent(scores["miou"]))
    console = page(json_target)
    console.print(table)
    if result.stopped_early:
        console.print("Stopped early, since the validation did not improve.")
    console.print(f"Model written to {out}", soft_wrap=True)
    write_json(
        json_target,
        {
            "model": str(out),
            "name": card.name,
            "epochs": len(result.history),
            "seconds": result.record.get("seconds"),
            "stopped_early": result.stopped_early,
            "images": result.record.get("images"),
            "validation": scores,
        },
    )
