"""``study embedding``: how far phases lie apart in feature space, before guidance and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.events import Finished, Progress
from phaseguide.studies.guidance.conditions import VARIED
from phaseguide.studies.guidance.judged import Cells, Judging, Trial, cells_of, judge_networks
from phaseguide.studies.guidance.places import fields
from phaseguide.studies.guidance.seen import Seen
from phaseguide.studies.guidance.summary import network
from phaseguide.studies.guidance.tokens import Sample, flat_picture, sample_tokens, silhouettes, tokens_of
from phaseguide.studies.named.ablation import BASE, CONDITIONS, WHOLE, WITH_XY, conditions_of
from phaseguide.studies.networks.comparison import check_varied
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import passed
from phaseguide.studies.networks.tables import NOT_RUN, difference, with_spread
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.pictures import phase_handles
from phaseguide.studies.report import plain_table, section
from phaseguide.studies.statistics import paired_difference, spread
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = ("before", "after, own ratio", "after, true ratio (oracle)")
BEFORE, OWN, TRUE = STAGES

NAMES = (BASE, *(name for name in CONDITIONS if name == "re" or name.endswith(f"-{WITH_XY}")), WHOLE)
"""The conditions of ``ablation`` with coordinates, as published: the same networks."""

PER_PHASE = 200
"""Tokens of a phase that are drawn from an image, at most."""

DRAWN = 150
"""Tokens of a phase in the picture, at most."""


def _judge(trial: Trial) -> Iterator[Progress | Finished[dict[str, Any]]]:
    n_phases = len(trial.model.card.scheme)
    places = fields(trial.images, n_phases)
    guided = len(trial.model.segmenter.guidance) > 0 and trial.model.card.guidance.kind != "none"
    samples: dict[str, list[Sample]] = {}
    images: dict[str, dict[str, Any]] = {}
    for done, place in enumerate(places, start=1):
        seen = Seen(trial.model, place.pixels, place.fixed, trial.device)
        before = seen.encoded()
        maps = {BEFORE: before}
        if guided:
            own = seen.areas(seen.labels(None))
            maps |= {OWN: seen.guided(own), TRUE: seen.guided(place.true)}
        drawn = None
        for stage, (one,) in maps.items():
            features, labels = tokens_of(one.numpy(), place.labels, seen.segmenter.backbone.stride)
            if drawn is None:
                drawn = sample_tokens(labels, PER_PHASE, place.name)
            sample = Sample(features[drawn], labels[drawn])
            samples.setdefault(stage, []).append(sample)
            images.setdefault(place.stem, {})[stage] = silhouettes(sample, n_phases)["all"]
        yield Progress("comparing features", done, len(places))
    pooled = {stage: Sample.joined(parts) for stage, parts in samples.items()}
    yield Finished(
        {
            "pooled": {stage: silhouettes(sample, n_phases) for stage, sample in pooled.items()},
            "images": images,
            "tokens": len(pooled[BEFORE].labels),
            "picture": {stage: flat_picture(sample, DRAWN) for stage, sample in pooled.items()},
        }
    )


JUDGING = Judging("embedding", {"per_phase": PER_PHASE, "drawn": DRAWN}, _judge)


def run(given: Given) -> Iterator[Any]:
    """Train and judge; the last event has the numbers."""
    check_varied(given, "embedding", VARIED)
    known = conditions_of(given.size)
    conditions = {name: known[name] for name in NAMES}
    results = yield from passed(judge_networks(given, conditions, JUDGING))
    found = []
    for data in given.data:
        by_condition = cells_of(results, data.name)
        rows = [
            _row(name, condition, by_condition.get(name, {}))
            for name, condition in conditions.items()
            if given.conditions is None or name in given.conditions
        ]
        found.append({"name": data.name, "scheme": data.scheme.to_dict(), "conditions": rows})
    yield Finished({**given.told, "data": found})


def _row(name: str, condition: Condition, cells: Cells) -> dict[str, Any]:
    about = network(name, condition, cells)
    if not cells:
        return about
    by_network = {f"{split}{seed}": judged for (seed, split), judged in cells.items()}
    first = next(iter(cells.values()))
    phases = [p["name"] for p in first["scheme"]["phases"]]
    stages = {}
    for stage in first["pooled"]:
        pooled = {n: judged["pooled"][stage] for n, judged in by_network.items()}
        inside = _by_image(cells, stage)
        before = _by_image(cells, BEFORE)
        shared = {stem: value for stem, value in inside.items() if stem in before}
        stages[stage] = {
            "pooled": _spread({n: one["all"] for n, one in pooled.items()}),
            "phases": {
                phase: _spread({n: one["phases"][k] for n, one in pooled.items()})
                for k, phase in enumerate(phases)
            },
            "by_image": inside,
            "inside": float(np.mean(list(inside.values()))) if inside else None,
            "to_before": paired_difference(shared, before) if shared and stage != BEFORE else None,
        }
    tokens = sum(judged["tokens"] for judged in cells.values())
    return {**about, "tokens": tokens, "stages": stages, "picture": first["picture"]}


def _by_image(cells: Cells, stage: str) -> dict[str, float]:
    """Silhouette inside each image that has two phases at least, mean over seeds."""
    found: dict[str, list[float]] = {}
    for judged in cells.values():
        for stem, one in judged["images"].items():
            if one[stage] is not None:
                found.setdefault(stem, []).append(one[stage])
    return {stem: float(np.mean(values)) for stem, values in found.items()}


def _spread(values: Mapping[str, float | None]) -> dict[str, Any] | None:
    return spread({name: value for name, value in values.items() if value is not None})


def lines(numbers: Numbers) -> list[str]:
    """Return a table a data set."""
    found = trained_how(numbers)
    for data in numbers["data"]:
        phases = [p["name"] for p in data["scheme"]["phases"]]
        title = f"{data['name']}: silhouette of phases in the map that is guided, size {numbers['size']}"
        found += section(title, _table(data["conditions"], phases))
    return [*found, "", _READING]


_READING = (
    "The map is the encoder's output, where guidance acts; a token belongs to the phase that most of its pixels have. "
    f"At most {PER_PHASE} tokens of a phase are drawn from each image that the network has never seen. The silhouette "
    "(Euclidean) is 1 where phases lie far apart, 0 where they lie on top of each other, negative where a token is "
    "nearer to another phase. *All images* pools their tokens: a ratio that differs from image to image can move whole "
    "images apart there. *Inside an image* compares tokens that were told the same, and is what guidance does for "
    "phases. The true ratio is that of the test labels. SA and SA+FA take no ratio, so *own* and *true* are the same. "
    "Published: a picture of features with and without the module's parts, without numbers."
)


def _table(conditions: Sequence[Numbers], phases: Sequence[str]) -> list[str]:
    titles = ["condition", "guidance", "all images", *phases, "inside an image"]
    titles += ["inside, after minus before (95 %)", "networks", "tokens"]

    def rows() -> Iterator[list[object]]:
        for condition in conditions:
            shown = f"`{condition['name']}`: {condition['what']}"
            if not condition["cells"]:
                yield [shown, NOT_RUN, *[None] * (len(titles) - 2)]
                continue
            for stage, one in condition["stages"].items():
                inside = one["inside"]
                yield [
                    shown,
                    stage,
                    with_spread(one["pooled"], 1, 3),
                    *(with_spread(one["phases"][phase], 1, 2) for phase in phases),
                    None if inside is None else f"{inside:.3f}",
                    difference(one["to_before"], 1, 3),
                    " ".join(condition["cells"]),
                    condition["tokens"],
                ]
                shown = ""

    return plain_table(titles, rows())


def figure(numbers: Numbers) -> Figure | None:
    """The two main components of the drawn tokens, a row for each network, a column for each stage."""
    from matplotlib.figure import Figure

    judged = [(data, c) for data in numbers["data"] for c in data["conditions"] if c["cells"]]
    if not judged:
        return None
    found = Figure(figsize=(11, 3.2 * len(judged) + 0.5), layout="constrained")
    grid: Any = found.subplots(len(judged), len(STAGES), squeeze=False)
    for (data, condition), row in zip(judged, grid, strict=True):
        for axes, stage in zip(row, STAGES, strict=True):
            if stage not in condition["picture"]:
                axes.text(0.5, 0.5, "no guidance", ha="center", va="center", color="0.5")
                axes.set_axis_off()
                continue
            _draw(axes, condition, stage, data["scheme"])
        row[0].set_title(f"{data['name']}: {row[0].get_title()}", fontsize=8, parse_math=False)
    schemes = {data["name"]: data["scheme"] for data, _ in judged}
    handles = [handle for scheme in schemes.values() for handle in phase_handles(scheme)]
    found.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return found


def _draw(axes: Axes, condition: Numbers, stage: str, scheme: Mapping[str, Any]) -> None:
    picture = condition["picture"][stage]
    points, labels = np.array(picture["points"]), np.array(picture["labels"])
    by_phase = [(points[labels == phase["label"]], phase["color"]) for phase in scheme["phases"]]
    for chosen, colour in sorted(by_phase, key=lambda one: -len(one[0])):  # rare phases on top
        if len(chosen):
            axes.scatter(chosen[:, 0], chosen[:, 1], s=8, color=colour, alpha=0.7, linewidths=0)
    first, second = (100 * share for share in picture["explained"])
    pooled = condition["stages"][stage]["pooled"]
    value = "" if pooled is None else f", silhouette {pooled['mean']:.2f}"
    axes.set_title(f"{condition['name']}, {stage}{value}", fontsize=8, parse_math=False)
    axes.set_xlabel(f"component 1 ({first:.0f} % of the variance)", fontsize=7)
    axes.set_ylabel(f"component 2 ({second:.0f} %)", fontsize=7)
    axes.tick_params(labelsize=6)


STUDY = Study(
    name="embedding",
    question=(
        "How far do phases lie apart in feature space before guidance and after, with and without Spatial Awareness "
        "and Feature Aggregator? Silhouettes, and the picture."
    ),
    conditions=NAMES,
    run=run,
    lines=lines,
    figure=figure,
)
