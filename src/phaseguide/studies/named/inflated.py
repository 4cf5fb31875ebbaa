"""``study inflated``: networks that are told no ratio, zeros, or shares that sum to two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.evaluation.confusion import confusion_matrix
from phaseguide.events import Finished, Progress
from phaseguide.models.architectures import SAM
from phaseguide.ratios import Ratio
from phaseguide.studies.guidance.asking import WITHOUT
from phaseguide.studies.guidance.conditions import VARIED, Guided, asked_conditions, name_of, names_of
from phaseguide.studies.guidance.judged import Cells, Judging, Trial, cells_of, judge_networks
from phaseguide.studies.guidance.places import Place, fields, most_mixed
from phaseguide.studies.guidance.seen import Seen
from phaseguide.studies.guidance.summary import network, paired, row_scores
from phaseguide.studies.networks.comparison import check_varied
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import passed
from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.networks.tables import NOT_RUN, pair
from phaseguide.studies.pictures import (
    coloured,
    grey_picture,
    phase_handles,
    picture_text,
    show,
    text_picture,
)
from phaseguide.studies.report import fixed, plain_table, section
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD: dict[str, float | None] = {
    WITHOUT: None,
    "true (oracle)": 1.0,
    "zeros": 0.0,
    "halved": 0.5,
    "doubled": 2.0,
}
"""What a network is told: the true ratio times this, or nothing."""

NAMES = (
    *names_of(("unet", "no-skips"), ("joint", "noisy"), unguided=False),
    *(name_of(SAM, "plm", schedule) for schedule in ("joint", "noisy")),
)

SOURCE = (
    "Published (slides of 2024, additive guidance of LoRA-SAM on a private steel of three phases, three test images): "
    "Dice 84.89 with zeros, 85.62 with [.1, .7, .2], 56.41 with [.1, .5, .4], 20.44 with [.4, .5, .1]; 85.87 without "
    "guidance. Zeros mean *no ratio* there and were, as far as is said, never shown in training; here *none* is a path "
    "of its own. The command line and the widgets refuse shares that do not sum to 1."
)


def _judge(trial: Trial) -> Iterator[Progress | Finished[dict[str, Any]]]:
    n_phases = len(trial.model.card.scheme)
    places = fields(trial.images, n_phases)
    shown = most_mixed(places)
    found = []
    picture: dict[str, Any] = {}
    for done, place in enumerate(places, start=1):
        seen = Seen(trial.model, place.pixels, place.fixed, trial.device)
        maps = {name: seen.labels(_told(place, factor)) for name, factor in TOLD.items()}
        counted = maps[WITHOUT] != 255
        found.append(
            {
                "stem": place.stem,
                "true": place.true.tolist(),
                "confusion": {
                    n: [confusion_matrix(place.labels, m, n_phases).tolist()] for n, m in maps.items()
                },
                "variation": {},
                "areas": {name: seen.areas(labels).tolist() for name, labels in maps.items()},
                "changed": {n: float((m != maps[WITHOUT])[counted].mean()) for n, m in maps.items()},
            }
        )
        if place is shown:
            picture = {
                "stem": place.stem,
                "image": picture_text(grey_picture(place.pixels.numpy())),
                "labels": picture_text(place.labels),
                "maps": {name: picture_text(labels) for name, labels in maps.items()},
            }
        yield Progress("judging", done, len(places))
    yield Finished({"fields": found, "picture": picture})


def _told(place: Place, factor: float | None) -> Ratio | None:
    return None if factor is None else np.asarray(factor * place.true, dtype=np.float64)


JUDGING = Judging("inflated", {"told": dict(TOLD)}, _judge)


def run(given: Given) -> Iterator[Any]:
    """Train and judge; the last event has the numbers."""
    check_varied(given, "inflated", VARIED)
    with asked_conditions(given, NAMES) as conditions:
        results = yield from passed(judge_networks(given, conditions, JUDGING))
    found = []
    for data in given.data:
        by_condition = cells_of(results, data.name)
        rows = [_row(name, c, by_condition.get(name, {})) for name, c in conditions.items()]
        found.append({"name": data.name, "scheme": data.scheme.to_dict(), "conditions": rows})
    yield Finished({**given.told, "data": found})


def _row(name: str, condition: Guided, cells: Cells) -> dict[str, Any]:
    about = network(name, condition, cells)
    if not cells:
        return about
    places = [place for judged in cells.values() for place in judged["fields"]]
    scores = {told: row_scores(cells, "fields", told) for told in TOLD}
    told_rows = {}
    for told, one in scores.items():
        assert one is not None
        areas = np.array([place["areas"][told] for place in places])
        told_rows[told] = {
            **one.pooled,
            "area_error_pp": one.area_error_pp,
            "areas": areas.mean(0).tolist(),
            "changed": float(np.mean([place["changed"][told] for place in places])),
            "by_image": {str(seed): images for seed, images in one.by_image.items()},
            "to_none": None if told == WITHOUT else {"dice_mean": paired(one, _known(scores[WITHOUT]))},
            "to_true": None
            if told == "true (oracle)"
            else {"dice_mean": paired(one, _known(scores["true (oracle)"]))},
        }
    picture = next(iter(cells.values()))["picture"]
    true = np.mean([place["true"] for place in places], axis=0).tolist()
    return {**about, "images": len(places), "true": true, "told": told_rows, "picture": picture}


def _known(row: Any) -> Any:
    assert row is not None
    return row


def lines(numbers: Numbers) -> list[str]:
    """Return a table a data set."""
    found = trained_how(numbers)
    for data in numbers["data"]:
        title = f"{data['name']}: what networks make of ratios that are none, size {numbers['size']}"
        found += section(title, _table(data["conditions"], [p["name"] for p in data["scheme"]["phases"]]))
    return [*found, "", _READING, "", SOURCE]


_READING = (
    "Whole fields, by the network alone. The network is told the true ratio of the test labels (an oracle) times 0, "
    "0.5, 1 or 2, or none. *Changed* is the share of the pixels that differ from the map without a ratio."
)


def _table(conditions: Sequence[Numbers], phases: Sequence[str]) -> list[str]:
    titles = [
        "condition",
        "told",
        "Dice, %",
        "mIoU, %",
        "micro-IoU, %",
        "accuracy, %",
        "composition error, pp",
    ]
    titles += ["changed, %", *(f"{phase}, area %" for phase in phases)]
    titles += ["Dice to none, image by image (95 %; p)", "to the true"]

    def rows() -> Iterator[list[object]]:
        for condition in conditions:
            shown = f"`{marked(condition['name'], condition['what'])}`"
            if not condition["cells"]:
                yield [shown, NOT_RUN, *[None] * (len(titles) - 2)]
                continue
            for told, row in condition["told"].items():
                yield [
                    shown,
                    told,
                    *(fixed(row[name], 1, 100) for name in ("dice_mean", "miou", "micro_iou", "accuracy")),
                    fixed(row["area_error_pp"], 1),
                    fixed(row["changed"], 1, 100),
                    *(fixed(area, 1, 100) for area in row["areas"]),
                    pair(row["to_none"], "dice_mean"),
                    pair(row["to_true"], "dice_mean"),
                ]
                shown = ""
            blank = [None] * 6
            yield [shown, "true areas", *blank, *(fixed(a, 1, 100) for a in condition["true"]), None, None]

    return plain_table(titles, rows())


def figure(numbers: Numbers) -> Figure | None:
    """A row of maps for each network: the micrograph, its labels, and the map by what it was told."""
    from matplotlib.figure import Figure

    judged = [(data, c) for data in numbers["data"] for c in data["conditions"] if c["cells"]]
    if not judged:
        return None
    found = Figure(figsize=(2.1 * (len(TOLD) + 2), 2.1 * len(judged) + 0.6), layout="constrained")
    grid: Any = found.subplots(len(judged), len(TOLD) + 2, squeeze=False)
    for (data, condition), row in zip(judged, grid, strict=True):
        picture: Mapping[str, Any] = condition["picture"]
        name = marked(condition["name"], condition["what"])
        show(row[0], text_picture(picture["image"]), f"{name}\n{picture['stem']}")
        show(row[1], coloured(text_picture(picture["labels"]), data["scheme"]), "labels")
        for axes, (told, text) in zip(row[2:], picture["maps"].items(), strict=True):
            dice = 100 * condition["told"][told]["dice_mean"]
            title = f"told {told}\nDice of all images {dice:.1f}"
            show(axes, coloured(text_picture(text), data["scheme"]), title)
    schemes = {data["name"]: data["scheme"] for data, _ in judged}
    handles = [handle for scheme in schemes.values() for handle in phase_handles(scheme)]
    found.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return found


STUDY = Study(
    name="inflated",
    question=(
        "What does a network make of a ratio that is none: of zeros, and of shares that sum to a half or to two? "
        "Pictures of maps, and numbers."
    ),
    conditions=NAMES,
    run=run,
    lines=lines,
    figure=figure,
)
