"""A baseline: Segment Anything as published, never trained on these phases, prompted by a simulated user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import phaseguide
from phaseguide.datasets.folder import Dataset, Item
from phaseguide.errors import DatasetError, MicrographError, PhaseguideError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.ratio_source import draw_generator
from phaseguide.events import Finished, Progress
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme
from phaseguide.segmentation.network.channels import fit_channels
from phaseguide.segmentation.network.device import choose_device
from phaseguide.studies.folds.report import over_folds
from phaseguide.studies.folds.rows import Row, Spec
from phaseguide.studies.packages import need
from phaseguide.studies.report import fixed, table
from phaseguide.studies.sam.clicks import boxes_around, draw_clicks

if TYPE_CHECKING:
    from phaseguide.models.sam.prompts import Prompts
    from phaseguide.studies.sam.official import ZeroShotImage

PROMPTS = ("points", "boxes")
ALL = "all"
"""Name of the one fold of a study without folds."""

ZeroShotEvent = Progress | Finished[dict[str, Any]]


def zero_shot_study(
    dataset: Dataset,
    scheme: PhaseScheme,
    *,
    size: str = "vit_b",
    base: Path | None = None,
    points: int = 5,
    prompts: Sequence[str] = PROMPTS,
    folds: Mapping[str, Sequence[str]] | None = None,
    repeats: int = 3,
    seed: int = 0,
    device: str = "auto",
) -> Iterator[ZeroShotEvent]:
    """Segment every labelled image from a simulated user's clicks, and judge it as the folds report does.

    The clicks come from the labels that judge: a user who knows the phases, never clicks wrong, and does not click
    on a phase that the image does not have. That flatters the baseline. The weights are those of the file ``base``,
    or the official ones wherever they lie. Prompts are the clicks themselves, or boxes around the regions that were
    clicked on; folds are groups of images for the spread. The rows of the result, one a kind of prompt, have the
    keys of the folds report.
    """
    from phaseguide.models.sam.shapes import find_shape
    from phaseguide.studies.sam.official import ZeroShotSam

    need("segment_anything")
    shape = find_shape(size)
    _check(points, prompts, repeats)
    items = {item.stem: item for item in dataset.labelled().items}
    if not items:
        raise DatasetError(
            f"{dataset.folder}: no image has a label map, so there is nothing to click on or to compare with."
        )
    groups = {ALL: tuple(items)} if folds is None else {name: tuple(stems) for name, stems in folds.items()}
    chosen = choose_device(device)
    path = find_weights(size, base)
    total = sum(len(stems) for stems in groups.values())
    yield Progress("Reading the weights", 0, total)
    model = ZeroShotSam(path, shape, chosen.torch_device)
    rows = {kind: Row(Spec(kind), net=f"{size}, zero-shot") for kind in prompts}
    done = 0
    for name, stems in groups.items():
        nothing = np.zeros((repeats, len(scheme), len(scheme) + 1), dtype=np.int64)
        draws = {kind: nothing.copy() for kind in prompts}
        for stem in stems:
            yield Progress(f"Prompting on {stem}", done, total)
            image, truth = _read(items[stem], scheme)
            opened = model.open(fit_channels(image, 3, str(items[stem].image_path)))
            found: dict[str, list[NDArray[np.int64]]] = {kind: [] for kind in prompts}
            for repeat in range(repeats):
                clicks = draw_clicks(truth, len(scheme), points, draw_generator(seed, repeat, stem))
                for kind in prompts:
                    given = clicks if kind == "points" else boxes_around(truth, clicks)
                    found[kind].append(confusion_matrix(truth, _labels(opened, given, scheme), len(scheme)))
            for kind in prompts:
                _note(rows[kind], stem, found[kind])
                draws[kind] += np.stack(found[kind])
            done += 1
        for kind in prompts:
            rows[kind].folds[name] = draws[kind]
    yield Progress("Prompting", total, total)
    yield Finished(
        {
            "study": "zero-shot",
            "model": size,
            "weights": path.name,
            "points": points,
            "repeats": repeats,
            "seed": seed,
            "phases": list(scheme.names),
            "images": [stem for stems in groups.values() for stem in stems],
            # Each row is its own base: nothing is removed, and a flawless one has nothing to be removed.
            "rows": [{**row.to_dict(row, scheme), "removed": 0.0} for row in rows.values()],
            "version": phaseguide.__version__,
        }
    )


def find_weights(size: str, base: Path | None) -> Path:
    """Return the file of weights: the given one, or the official one wherever it lies; the error says how to get it."""
    if base is not None:
        return base
    from phaseguide.models.sam.weights import find_official

    return find_official(size)


def to_lines(report: dict[str, Any]) -> list[str]:
    """Return the report as lines of Markdown, scores in percent, with columns of the folds report."""

    def prompts(row: dict[str, Any]) -> str:
        count = report["points"]
        by = (
            f"{count} points a phase"
            if row["source"] == "points"
            else f"boxes around what {count} clicks a phase hit"
        )
        return f"{row['net']}, {by}"

    return table(
        {
            "prompts": prompts,
            "Dice": lambda row: fixed(row["dice_mean"], 2, 100),
            "worst tenth": lambda row: fixed(row["dice_p10"], 2, 100) if row["draws"] > 1 else None,
            "mIoU": lambda row: fixed(row["pooled"]["miou"], 1, 100),
            "mIoU over folds": lambda row: over_folds(row) if len(row["per_fold"]) > 1 else None,
            "area error, pp": lambda row: fixed(row["fraction_mae_pp"], 2),
        },
        report["rows"],
    )


def _check(points: int, prompts: Sequence[str], repeats: int) -> None:
    if points < 1 or repeats < 1:
        raise PhaseguideError(f"{points} points and {repeats} repeats: give at least one of each.")
    if unknown := sorted(set(prompts) - set(PROMPTS)):
        raise PhaseguideError(f"There are no prompts {', '.join(unknown)}. Choose of {', '.join(PROMPTS)}.")
    if not prompts:
        raise PhaseguideError(f"There is nothing to prompt with. Choose of {', '.join(PROMPTS)}.")


def _read(item: Item, scheme: PhaseScheme) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    micrograph = item.read_image()
    if micrograph.is_stack:
        raise MicrographError(f"{item.image_path}: is a stack; the zero-shot baseline takes single images.")
    height, width = micrograph.data.shape[:2]
    truth = item.read_labels(scheme, (height, width))
    if not np.any((truth != NOT_CLASSIFIED) & (truth != EXCLUDED)):
        raise DatasetError(f"{item.label_path}: no pixel carries a phase. Label it, or take the image out.")
    return micrograph.data, truth


def _labels(opened: ZeroShotImage, given: Prompts, scheme: PhaseScheme) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = (opened.phases(given, len(scheme)).argmax(axis=0) + 1).astype(np.uint8)
    return labels


def _note(row: Row, stem: str, draws: Sequence[NDArray[np.int64]]) -> None:
    """Note the numbers of one image: means over the draws, in percentage points where they are shares."""
    scores = [scores_from_confusion(draw) for draw in draws]
    gaps = np.abs([score.fraction_error for score in scores]).mean(axis=0)
    row.dice[stem] = float(np.mean([score.dice_mean for score in scores]))
    row.phase_pp[stem] = 100 * gaps
    row.fraction_pp[stem] = float(100 * gaps.mean())
