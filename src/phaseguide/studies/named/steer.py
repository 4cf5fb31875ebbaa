"""``study steer``: one phase raised step by step, by the network alone and by matching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.events import Finished, Progress
from phaseguide.ratios import Ratio
from phaseguide.segmentation.matching.match import Matcher, argmax_labels
from phaseguide.studies.guidance.conditions import BACKBONES, VARIED, Guided, asked_conditions, names_of
from phaseguide.studies.guidance.judged import Cells, Judging, Trial, cells_of, judge_networks
from phaseguide.studies.guidance.places import Place, fields, most_mixed
from phaseguide.studies.guidance.seen import Labels, Seen
from phaseguide.studies.guidance.summary import network
from phaseguide.studies.networks.comparison import check_varied
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import passed
from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.networks.tables import NOT_RUN, with_spread
from phaseguide.studies.pictures import (
    coloured,
    grey_picture,
    phase_handles,
    picture_text,
    show,
    text_picture,
)
from phaseguide.studies.report import fixed, plain_table, section
from phaseguide.studies.statistics import spread
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Area shares that are asked of one phase; the others keep their proportions of the true composition."""

SHOWN = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Steps whose maps are kept for the figure."""

WAYS = ("conditioned", "matched")

NAMES = names_of(BACKBONES, ("joint", "noisy"), unguided=False)


def steered(start: Ratio, phase: int, share: float) -> Ratio:
    """Return a composition with a share of one phase, which is not alone; the others keep their proportions."""
    found: Ratio = start * (1 - share) / (1 - start[phase])
    found[phase] = share
    return found


def _judge(trial: Trial) -> Iterator[Progress | Finished[dict[str, Any]]]:
    n_phases = len(trial.model.card.scheme)
    places = fields(trial.images, n_phases)
    shown = most_mixed(places)
    curves: list[dict[str, Any]] = []
    picture: dict[str, Any] = {}
    total, done = len(places) * n_phases, 0
    for place in places:
        seen = Seen(trial.model, place.pixels, place.fixed, trial.device)
        told = seen.scores(place.true)
        start = seen.areas(argmax_labels(told, place.fixed))
        matcher = Matcher(told, place.fixed)
        for phase in range(n_phases):
            done += 1
            yield Progress("steering", done, total)
            if place.true[phase] >= 1:  # nothing is left that keeps proportions
                continue
            asked = {share: steered(place.true, phase, share) for share in STEPS}
            maps: dict[str, dict[float, Labels]] = {
                "conditioned": {share: seen.labels(ratio) for share, ratio in asked.items()},
                "matched": {share: matcher.match(ratio).labels for share, ratio in asked.items()},
            }
            curves.append(
                {
                    "stem": place.stem,
                    "phase": phase,
                    "true": float(place.true[phase]),
                    "start": float(start[phase]),
                    **{
                        way: [float(seen.areas(labels)[phase]) for labels in maps[way].values()]
                        for way in WAYS
                    },
                    "dice": {way: [_dice(place, m) for m in maps[way].values()] for way in WAYS},
                }
            )
            if place is shown and phase == _shown_phase(place.true):
                picture = {
                    "stem": place.stem,
                    "phase": phase,
                    "image": picture_text(grey_picture(place.pixels.numpy())),
                    "labels": picture_text(place.labels),
                    "maps": {way: [picture_text(maps[way][share]) for share in SHOWN] for way in WAYS},
                }
    yield Finished({"curves": curves, "picture": picture})


def _shown_phase(true: Ratio) -> int:
    """The phase that is shown raised: the one whose true share is nearest to 30 %, which has room both ways."""
    return int(np.abs(true - 0.3).argmin())


def _dice(place: Place, labels: Labels) -> float:
    n_phases = place.true.size
    return scores_from_confusion(confusion_matrix(place.labels, labels, n_phases)).dice_mean


JUDGING = Judging("steer", {"steps": list(STEPS), "shown": list(SHOWN)}, _judge)


def run(given: Given) -> Iterator[Any]:
    """Train and judge; the last event has the numbers."""
    check_varied(given, "steer", VARIED)
    with asked_conditions(given, NAMES) as conditions:
        results = yield from passed(judge_networks(given, conditions, JUDGING))
    found = []
    for data in given.data:
        by_condition = cells_of(results, data.name)
        rows = [_row(name, c, by_condition.get(name, {})) for name, c in conditions.items()]
        found.append({"name": data.name, "scheme": data.scheme.to_dict(), "conditions": rows})
    yield Finished({**given.told, "steps": list(STEPS), "shown": list(SHOWN), "data": found})


def _row(name: str, condition: Guided, cells: Cells) -> dict[str, Any]:
    about = network(name, condition, cells)
    if not cells:
        return about
    phases = sorted({curve["phase"] for judged in cells.values() for curve in judged["curves"]})
    return {
        **about,
        "phases": [{"phase": phase, **_curve(cells, phase)} for phase in phases],
        "picture": next((j["picture"] for j in cells.values() if j["picture"]), None),
    }


def _curve(cells: Cells, phase: int) -> dict[str, Any]:
    """Mean achieved share at each asked one, and how the curve follows, with the spread over networks."""
    by_network = {
        f"{split}{seed}": [curve for curve in judged["curves"] if curve["phase"] == phase]
        for (seed, split), judged in cells.items()
    }
    known = {name: curves for name, curves in by_network.items() if curves}
    every = [curve for curves in known.values() for curve in curves]
    return {
        "images": len(every),
        "true": float(np.mean([curve["true"] for curve in every])),
        "start": float(np.mean([curve["start"] for curve in every])),
        **{
            way: {
                "achieved": np.mean([curve[way] for curve in every], axis=0).tolist(),
                "deviation": np.std([curve[way] for curve in every], axis=0).tolist(),
                "dice": np.mean([curve["dice"][way] for curve in every], axis=0).tolist(),
                "slope": spread({n: float(np.mean([_slope(c[way]) for c in cs])) for n, cs in known.items()}),
                "error_pp": spread(
                    {n: 100 * float(np.mean([_gap(c[way]) for c in cs])) for n, cs in known.items()}
                ),
                "rising": spread(
                    {n: float(np.mean([_rising(c[way]) for c in cs])) for n, cs in known.items()}
                ),
            }
            for way in WAYS
        },
    }


def _slope(achieved: Sequence[float]) -> float:
    """Of the straight line through achieved against asked, by least squares."""
    return float(np.polyfit(STEPS, achieved, 1)[0])


def _gap(achieved: Sequence[float]) -> float:
    return float(np.abs(np.array(achieved) - STEPS).mean())


def _rising(achieved: Sequence[float]) -> float:
    return float((np.diff(achieved) > 0).mean())


def lines(numbers: Numbers) -> list[str]:
    """Return for each data set the curves and how they follow."""
    found = trained_how(numbers)
    for data in numbers["data"]:
        names = [p["name"] for p in data["scheme"]["phases"]]
        title = f"{data['name']}: achieved area % by asked area % of one phase, size {numbers['size']}"
        found += section(title, _table(data["conditions"], names, numbers["steps"]))
    return [*found, "", _READING]


_READING = (
    "Whole fields that the networks have never seen. One phase is asked for with rising shares, the others in their "
    "proportions of the true composition (of the test labels, an oracle). *Conditioned* is the network alone; "
    "*matched* imposes the same ratio, to the pixel, on the scores of the network that is told the true one (column "
    "*told the true*). *Slope*: change of achieved per change of asked, by least squares; *off*: mean distance of "
    "achieved from asked; *rising*: share of the steps in which the area grows. The published figure shows one field "
    "of a private steel steered by LoRA-SAM with the Phase Learning Module, without numbers."
)


def _table(conditions: Sequence[Numbers], names: Sequence[str], steps: Sequence[float]) -> list[str]:
    titles = [
        "condition",
        "phase",
        "by",
        "true",
        "told the true",
        *(f"asked {100 * step:g}" for step in steps),
    ]
    titles += ["slope", "off, pp", "rising, %", "Dice from first to last step, %"]

    def rows() -> Iterator[list[object]]:
        for condition in conditions:
            shown = f"`{marked(condition['name'], condition['what'])}`"
            if not condition["cells"]:
                yield [shown, NOT_RUN, *[None] * (len(titles) - 2)]
                continue
            for one in condition["phases"]:
                for way in WAYS:
                    curve = one[way]
                    dice = curve["dice"]
                    yield [
                        shown,
                        names[one["phase"]] if way == WAYS[0] else None,
                        way,
                        *(fixed(one[key], 1, 100) if way == WAYS[0] else None for key in ("true", "start")),
                        *(fixed(area, 1, 100) for area in curve["achieved"]),
                        with_spread(curve["slope"], 1, 2),
                        with_spread(curve["error_pp"], 1, 1),
                        with_spread(curve["rising"], 100, 0),
                        f"{100 * dice[0]:.1f} to {100 * dice[-1]:.1f}, best {100 * max(dice):.1f}",
                    ]
                    shown = ""

    return plain_table(titles, rows())


def figure(numbers: Numbers) -> Figure | None:
    """For each network a row of maps by conditioning, one by matching, and the curves beside them."""
    from matplotlib.figure import Figure

    judged = [
        (data, c) for data in numbers["data"] for c in data["conditions"] if c["cells"] and c["picture"]
    ]
    if not judged:
        return None
    columns = len(numbers["shown"]) + 1
    found = Figure(figsize=(2 * columns + 5, 4.4 * len(judged) + 0.5), layout="constrained")
    grid = found.add_gridspec(2 * len(judged), columns + 1, width_ratios=[*[1] * columns, 2.2])
    for number, (data, condition) in enumerate(judged):
        picture, scheme = condition["picture"], data["scheme"]
        name = scheme["phases"][picture["phase"]]["name"]
        show(
            found.add_subplot(grid[2 * number, 0]),
            text_picture(picture["image"]),
            f"{marked(condition['name'], condition['what'])}\n{picture['stem']}",
        )
        labels = coloured(text_picture(picture["labels"]), scheme)
        show(found.add_subplot(grid[2 * number + 1, 0]), labels, "labels")
        for row, way in enumerate(WAYS):
            texts = picture["maps"][way]
            for column, (share, text) in enumerate(zip(numbers["shown"], texts, strict=True), start=1):
                axes = found.add_subplot(grid[2 * number + row, column])
                show(axes, coloured(text_picture(text), scheme), f"{way}\n{name} {100 * share:g} %")
        axes = found.add_subplot(grid[2 * number : 2 * number + 2, columns])
        _draw(axes, condition, scheme, numbers["steps"])
        title = f"{data['name']}: {marked(condition['name'], condition['what'])}"
        axes.set_title(title, fontsize=9, parse_math=False)
    schemes = {data["name"]: data["scheme"] for data, _ in judged}
    handles = [handle for scheme in schemes.values() for handle in phase_handles(scheme)]
    found.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return found


def _draw(axes: Axes, condition: Numbers, scheme: Mapping[str, Any], steps: Sequence[float]) -> None:
    asked = 100 * np.array(steps)
    axes.plot([0, 100], [0, 100], "k:", lw=1, label="as asked")
    for one in condition["phases"]:
        colour = scheme["phases"][one["phase"]]["color"]
        achieved = 100 * np.array(one["conditioned"]["achieved"])
        deviation = 100 * np.array(one["conditioned"]["deviation"])
        axes.errorbar(asked, achieved, deviation, color=colour, marker="o", ms=4, lw=1.3, capsize=2)
        matched = 100 * np.array(one["matched"]["achieved"])
        axes.plot(asked, matched, "x", color=colour, ms=6)
    axes.plot([], [], "k-o", ms=4, label="conditioned (± deviation)")
    axes.plot([], [], "kx", ms=6, label="matched")
    axes.set(xlabel="asked area %", ylabel="achieved area %", xlim=(0, 100), ylim=(0, 100))
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)


STUDY = Study(
    name="steer",
    question=(
        "What does a network draw when one phase is asked for with rising shares, by conditioning alone and by "
        "matching? Maps side by side, and the curve of asked against achieved."
    ),
    conditions=NAMES,
    run=run,
    lines=lines,
    figure=figure,
)
