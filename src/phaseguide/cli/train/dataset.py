"""``phaseguide train``: a folder of labelled images in, a model file out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import SEED, THREADS
from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.crossfit import Crossfit, plan_crossfit
from phaseguide.cli.train.epochs import print_epoch
from phaseguide.cli.train.project import train_project
from phaseguide.cli.train.report import report
from phaseguide.cli.train.sam import base_checksum, dataset_config
from phaseguide.cli.train.saving import check_free, check_outputs, save_or_rescue
from phaseguide.cli.train.settings import (
    CARD_KEYS,
    checked_entries,
    parse_settings,
    parse_split,
    with_entries,
)
from phaseguide.cli.train.unused import (
    OF_A_DATASET,
    OF_A_PROJECT,
    joined,
    refuse_unused,
    refuse_unused_settings,
    typed,
)
from phaseguide.errors import TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.option_values import (
    ARCHITECTURE_NAMES,
    ENCODER_WEIGHTS,
    FINETUNE_PRESETS,
    SYSTEMS,
    TRAINING,
    TRAINING_PRESETS,
)

if TYPE_CHECKING:
    from phaseguide.datasets.folder import Dataset
    from phaseguide.models.model_file import LoadedModel
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
    split: Annotated[
        str | None,
        typer.Option(
            metavar="70/20/10",
            help="Percent of the images to learn from, to validate on, and to test on, once, at the end.",
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
    folds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Cross-fit on the folds of this file, {"A": ["image", ...], ...}; --set crossfit=5 draws some.',
        ),
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(ARCHITECTURE_NAMES[:-1])} or {ARCHITECTURE_NAMES[-1]}. Of a published system ("
            f"{SYSTEMS[0]} to {SYSTEMS[-1]}), --set width=0.125 takes an eighth of all channels."
        ),
    ] = TRAINING["architecture"],
    encoder: Annotated[
        str,
        typer.Option(
            help="Any encoder of segmentation-models-pytorch; of sam vit_b, vit_l or vit_h. A published system has "
            "its own."
        ),
    ] = TRAINING["encoder"],
    encoder_weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help=f"What the encoder starts from: {', '.join(ENCODER_WEIGHTS)}, or a file of its state dict. The "
            "MicroNet weights (micrographs), and those of ImageNet that are not installed, are downloaded once. A "
            "published system starts from none.",
        ),
    ] = TRAINING["encoder_weights"],
    guidance: Annotated[
        str,
        typer.Option(
            help="none, additive, spatial, plm, ccrm or, with folds, refine. Other guidance than that of the model to "
            "start from begins as a fresh module; if not given, the model's goes on, refine only with folds."
        ),
    ] = TRAINING["guidance"],
    epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Passes over the images; guidance then learns alone for --set guidance_epochs=11 more.",
        ),
    ] = TRAINING["epochs"],
    crop: Annotated[
        int,
        typer.Option(
            help="Side of the square crops in px, a multiple of 32; for nnunet planned from the images if not given."
        ),
    ] = TRAINING["crop"],
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
      phaseguide train steel/ --out a.safetensors --set crossfit=5
      phaseguide train steel/ --out sam.safetensors --preset sam
      phaseguide train steel/ --out plm.safetensors --preset published
      phaseguide train steel/ --out u.safetensors --architecture unet3plus
      phaseguide train steel/ --out n.safetensors --encoder resnet50
         --encoder-weights micronet
      phaseguide train --from uhcs --project heat-4711/ --preset thorough

    Preset published trains as the Phase Learning Module was published: all at
    once, told the ratio of each window. Its learning rate is for a network
    that is trained already; --learning-rate and --epochs change it, which the
    run then says.

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

    common = ("epochs", "crop", "batch", "learning_rate", "patience", "seed", "threads", "device", "guidance")
    given = typed(context, common)
    if project is not None:
        refuse_unused(context, OF_A_DATASET, "--project")
        if base is not None and not sam_size(start):
            raise TrainingError("--base is for a new model: add --from sam:vit_b, or leave --base out.")
        given = joined(given, parse_settings(settings or [], FinetuneConfig))
        # What is wrong with it is said before anything is loaded.
        refuse_unused_settings(make_config(preset, given), given)
        checksum, opened = base_checksum(base), Project.open(project)
        job = ProjectJob(opened, start, preset, given, checksum, name or opened.name, fresh, use)
        train_project(job, json_target)
        return
    if dataset is None or out is None:
        raise TrainingError("Give a DATASET and --out FILE, or a project with --project DIR.")
    refuse_unused(context, OF_A_PROJECT, "a DATASET")
    if out.suffix != SUFFIX:
        raise TrainingError(f"{out}: a model file ends in {SUFFIX}. Change --out.")
    check_free(out, overwrite)
    given |= typed(context, ("architecture", "encoder", "encoder_weights")) | parse_split(split)
    given = joined(given, parse_settings(settings or [], TrainingConfig))
    has_folds = folds is not None or bool(given.get("crossfit"))
    config = dataset_config(
        preset, given, start, base_checksum(base), given.get("device", device), folds=has_folds
    )
    folder = open_dataset(dataset).without(exclude or [])
    first = None if start is None or sam_size(start) else open_model(start)
    resolved = choose_scheme(folder, phases, scheme, first)
    extra = checked_entries(card, resolved)
    check_outputs(out, json_target, checkpoint)
    config, crossfit = plan_crossfit(config, folder, folds, checkpoint, card, extra)
    events = _train_folder(
        folder, resolved, config, validation or [], name or out.stem, first, checkpoint, crossfit
    )
    result: TrainingResult = draw(events, print_epoch)
    trained = result.card
    if first is not None:
        # What the start was trained with belongs to the history of the new weights.
        trained = trained.model_copy(update={"training": {**trained.training, "start": first.card.training}})
    saved = save_or_rescue(out, result.segmenter, with_entries(trained, extra, card), overwrite=overwrite)
    crossfit.sweep()
    report(result, saved, out, json_target)


def _train_folder(
    folder: Dataset,
    scheme: PhaseScheme,
    config: TrainingConfig,
    validation: list[str],
    name: str,
    start: LoadedModel | None,
    checkpoint: Path | None,
    crossfit: Crossfit,
) -> Iterator[Any]:
    """Read the images, then train; one generator, so that one progress bar shows both."""
    from phaseguide.models.backbones.pretrained import bringing
    from phaseguide.training.crossfit.folds import check_count
    from phaseguide.training.crossfit.run import train_crossfitted
    from phaseguide.training.data import load_images, seen_images, split_images
    from phaseguide.training.trainer import train as run_training

    if start is None:
        yield from bringing(config.encoder, config.encoder_weights)
    count = len(folder.labelled().items)
    images: list[TrainingImage] = []
    for image in load_images(folder, scheme):
        images.append(image)
        yield Progress("Reading images", len(images), count)
    if config.crossfit:
        labelled = sum(image.ratio(len(scheme)) is not None for image in images)
        check_count(labelled, config.crossfit, config.validation_share, folder.folder)
    before = {} if start is None else start.card.training.get("images", {})
    tested = [i.stem for i in images if i.stem in before.get("test", []) and config.test_share]
    if not validation and config.validation_share:
        # The same images judge as before; drawn anew, some would be images that the start has learnt from.
        validation = [i.stem for i in images if i.stem in before.get("validation", [])]
    data = split_images(
        images,
        scheme,
        validation=validation,
        share=config.validation_share,
        seed=config.seed,
        test=tested,
        test_share=config.test_share,
    )
    held = {i.stem for i in (*data.validation, *data.test)}
    if start is not None and (known := seen_images(start.card) & held):
        learnt = known - set(before.get("validation", []))
        if learnt:
            yield Notice(
                f"{start.path.name} has learnt from {', '.join(sorted(learnt))}, which now judge: the "
                "scores will look better than they are. Choose other images with --validation."
            )
    if start is not None and start.segmenter.in_channels != data.channels:
        raise TrainingError(
            f"{start.path}: was made for {start.segmenter.in_channels} channels, but the images have "
            f"{data.channels}. Choose another model to start from, or none."
        )
    if config.crossfit:
        tested_stems = {i.stem for i in data.test}
        in_folds = {stem for test in (crossfit.folds or {}).values() for stem in test}
        if both := sorted(tested_stems & in_folds):
            raise TrainingError(
                f"{', '.join(both)}: kept for the test at the end, and in the folds too. Take them out of the folds, "
                "or leave --split out."
            )
        yield from train_crossfitted(
            folder,
            [i for i in images if i.stem not in tested_stems],
            data,
            config,
            folds=crossfit.folds,
            parts=crossfit.parts,
            name=name,
            start=start,
            checkpoint=checkpoint,
            inference=crossfit.inference,
        )
        return
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
