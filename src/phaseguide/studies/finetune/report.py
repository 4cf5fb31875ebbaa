"""The report of the fine-tuning benchmark: Dice against rounds, pixels and seconds, with its spread over folds.

Confusion matrices of the turns of a fold are added before Dice is taken, so that a phase that is rare
in one image does not decide; the spread and the intervals are over folds. Places are compared image by image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.studies.finetune.fields_report import fields_lines, summarise_fields
from phaseguide.studies.finetune.places import ENTROPY, PLACES, RANDOM
from phaseguide.studies.finetune.scenarios import (
    FOREST,
    FOREST_OWN,
    GUIDED,
    KNOWN_STEEL,
    NEW_STEEL,
    SUPERVISED,
    Row,
)
from phaseguide.studies.report import fixed, plain_table, table
from phaseguide.studies.statistics import paired_difference, seconds, spread

Numbers = dict[str, Any]


def summarise(rows: Sequence[Row], development: str = "") -> Numbers:
    """Return the numbers of all stories, from the rows of complete turns.

    ``curves``: a row a story, method and round; ``aims``: what the stories were asked, also without the fold
    ``development`` on which settings were chosen; ``fields``: what strokes teach about other fields; ``places``: ways
    of choosing where to paint, compared pairwise.
    """
    stories = [row for row in rows if row["story"] in (NEW_STEEL, KNOWN_STEEL)]
    kept = [row for row in rows if row["fold"] != development]
    return {
        "development_fold": development,
        "curves": _curves(stories),
        "aims": {"all folds": _aims(stories), "without the development fold": _aims(_of(kept, stories))},
        "fields": summarise_fields(rows, development),
        "places": _places([row for row in rows if row["story"] == PLACES], development),
    }


def _of(kept: Iterable[Row], stories: Sequence[Row]) -> list[Row]:
    chosen = {id(row) for row in kept}
    return [row for row in stories if id(row) in chosen]


def _curves(rows: Sequence[Row]) -> list[Numbers]:
    found = []
    for story, method, number in dict.fromkeys((r["story"], r["method"], r["round"]) for r in rows):
        here = [r for r in rows if (r["story"], r["method"], r["round"]) == (story, method, number)]
        found.append(
            {
                "story": story,
                "method": method,
                "round": number,
                "turns": len(here),
                "painted_px": float(np.mean([r["painted_px"] for r in here])),
                **{part: spread(_by_fold(here, part)) for part in ("unpainted", "others", "old")},
                "improved": _improved(here),
                "round_s": seconds(r["round_s"] for r in here),
            }
        )
    return found


def _by_fold(rows: Sequence[Row], part: str) -> dict[str, float]:
    """Mean Dice over phases by fold, its turns pooled; empty where nothing was measured."""
    found: dict[str, float] = {}
    for fold in dict.fromkeys(r["fold"] for r in rows):
        tables = [np.array(r[part]) for r in rows if r["fold"] == fold and r.get(part) is not None]
        if tables and sum(int(t.sum()) for t in tables):
            found[fold] = float(scores_from_confusion(np.sum(tables, axis=0)).dice_mean)
    return found


def _aims(rows: Sequence[Row]) -> Numbers:
    """What the two stories were asked: share of the supervised network; gain, and what it costs the old folds."""
    aims: Numbers = {}
    new = [r for r in rows if r["story"] == NEW_STEEL]
    last = max((r["round"] for r in new), default=None)
    supervised = _by_fold([r for r in new if r["method"] == SUPERVISED], "others")
    if supervised and last:
        for method in dict.fromkeys(r["method"] for r in new if r["method"] != SUPERVISED):
            reached = _by_fold([r for r in new if r["method"] == method and r["round"] == last], "others")
            aims.setdefault("share_of_supervised", {})[method] = spread(
                {fold: reached[fold] / supervised[fold] for fold in reached}
            )
    known = [r for r in rows if r["story"] == KNOWN_STEEL]
    last = max((r["round"] for r in known), default=None)
    if last:
        start = [r for r in known if r["method"] == GUIDED and r["round"] == 0]
        gains = (("unpainted", "gain_on_unpainted"), ("others", "gain_on_others"), ("old", "change_on_old"))
        for part, name in gains:
            for method in dict.fromkeys(r["method"] for r in known if r["round"] == last):
                here = [r for r in known if r["method"] == method and r["round"] == last]
                after = _by_fold(here, part)
                before = _by_fold(here, "unpainted_before") if part == "unpainted" else _by_fold(start, part)
                if after and before:  # results of an older version have none of the unpainted pixels
                    aims.setdefault(name, {})[method] = spread({f: after[f] - before[f] for f in after})
    aims["improved"] = {
        story: _improved([r for r in rows if (r["story"], r["method"]) == (story, GUIDED)])
        for story in (NEW_STEEL, KNOWN_STEEL)
    }
    return aims


def _improved(rows: Iterable[Row]) -> Numbers | None:
    """Rounds in which the image at hand got better on its unpainted pixels, and median and largest time until it
    did.

    Round 0 of a new steel is left out: before it stands a head that has learnt nothing, and anything is better than
    that. A forest has no first prediction of its own; it is there when it is grown.
    """
    learnt = [
        r for r in rows if r["round"] and r["round_s"] is not None and r["method"] not in (FOREST, FOREST_OWN)
    ]
    if not learnt:
        return None
    first = seconds(r["first_s"] for r in learnt)
    return {
        "rounds": len(learnt),
        "improved": 0 if first is None else first["n"],
        "median": None if first is None else first["median"],
        "max": None if first is None else first["max"],
    }


def _places(rows: Sequence[Row], development: str) -> Numbers | None:
    """Ways of choosing places, each against entropy alone and against random ones, image by image."""
    if not rows:
        return None
    last = max(r["round"] for r in rows)
    found: Numbers = {"round": last, "gain": {}, "differences": []}
    gains: dict[tuple[str, str], dict[str, float]] = {}
    for part in ("unpainted", "others"):
        for way in dict.fromkeys(r["method"] for r in rows):
            gains[way, part] = _gains(rows, way, part, last)
    ways = list(dict.fromkeys(r["method"] for r in rows))
    for way in ways:
        here = [r for r in rows if r["method"] == way and r["round"] == last]
        found["gain"][way] = {
            "unpainted": float(np.mean(list(gains[way, "unpainted"].values()))),
            "others": float(np.mean(list(gains[way, "others"].values()))),
            "right_pp": float(np.mean([_right(rows, r) for r in here])),
            "painted_px": float(np.mean([r["painted_px"] for r in here])),
            "corrected_px": float(np.mean([r["corrected_px"] for r in here])),
            "images": len(gains[way, "others"]),
            "seeds": len({r["seed"] for r in here}),
        }
    folds = {r["painted"]: r["fold"] for r in rows}
    for ours in (way for way in ways if way not in (ENTROPY, RANDOM)):
        for theirs in (way for way in (ENTROPY, RANDOM) if way in ways):
            for part in ("unpainted", "others"):
                for which, keep in _selections(folds, development):
                    one, two = (
                        {s: v for s, v in gains[way, part].items() if keep(s)} for way in (ours, theirs)
                    )
                    if one:
                        found["differences"].append(
                            {
                                "way": ours,
                                "than": theirs,
                                "on": part,
                                "folds": which,
                                **paired_difference(one, two),
                            }
                        )
    return found


def _selections(folds: dict[str, str], development: str) -> list[tuple[str, Callable[[str], bool]]]:
    every: list[tuple[str, Callable[[str], bool]]] = [("all", lambda stem: True)]
    if development:
        every.append((f"without {development}", lambda stem: folds[stem] != development))
    return every


def _gains(rows: Sequence[Row], way: str, part: str, last: int) -> dict[str, float]:
    """Mean over seeds of the Dice that a painted image's rounds gained, by image, in percentage points.

    Over the phases that the images truly have: the Dice of any other is 0 while one pixel is taken for it,
    and not defined from then on.
    """
    found: dict[str, list[float]] = {}
    for after in rows:
        if after["method"] != way or after["round"] != last:
            continue
        one, two = (np.array(r[part]) for r in (_before(rows, after), after))
        there = two.sum(1) > 0
        gain = scores_from_confusion(two).dice[there].mean() - scores_from_confusion(one).dice[there].mean()
        found.setdefault(after["painted"], []).append(100 * float(gain))
    return {stem: float(np.mean(values)) for stem, values in found.items()}


def _before(rows: Sequence[Row], after: Row) -> Row:
    """The row of round 0 that a later one started from."""
    return next(
        r
        for r in rows
        if r["round"] == 0 and all(r[key] == after[key] for key in ("fold", "painted", "method", "seed"))
    )


def _right(rows: Sequence[Row], after: Row) -> float:
    """Share of the unpainted pixels that became right, percentage points."""
    shares = [
        np.trace(t[:, :-1]) / t.sum()
        for t in (np.array(r["unpainted"]) for r in (_before(rows, after), after))
    ]
    return 100 * float(shares[1] - shares[0])


def to_lines(report: Numbers) -> list[str]:
    """Return the report as lines of Markdown; Dice in percent, mean and standard deviation over folds."""
    lines: list[str] = []
    for story in dict.fromkeys(row["story"] for row in report["curves"]):
        lines += [f"## {story.capitalize()}", ""]
        lines += [*_curves_table(row for row in report["curves"] if row["story"] == story), ""]
    lines += ["## Aims", "", *_aims_table(report["aims"]), ""]
    lines += fields_lines(report["fields"])
    return lines if report["places"] is None else [*lines, *_places_lines(report["places"])]


def _curves_table(rows: Iterable[Numbers]) -> list[str]:
    return table(
        {
            "method": lambda row: row["method"],
            "round": lambda row: row["round"],
            "painted px": lambda row: f"{row['painted_px']:,.0f}",
            "Dice, unpainted": lambda row: _dice(row["unpainted"]),
            "Dice, other images": lambda row: _dice(row["others"]),
            "Dice, old images": lambda row: _dice(row["old"]),
            "rounds improved, first after": lambda row: _improved_text(row["improved"]),
            "whole round, s": lambda row: row["round_s"] and fixed(row["round_s"]["median"], 1),
        },
        rows,
    )


def _aims_table(aims: Numbers) -> list[str]:
    titles = {
        "share_of_supervised": "share of the supervised network's Dice on other images, %",
        "gain_on_unpainted": "Dice gained on the unpainted pixels",
        "gain_on_others": "Dice gained on other images",
        "change_on_old": "Dice change on old images",
    }
    head = ("what", "folds", "method", "mean", "95 % over folds", "by fold")
    rows: list[tuple[str | None, ...]] = []
    for which, found in aims.items():
        for name, title in titles.items():
            for method, s in found.get(name, {}).items():
                interval = None if s["low"] is None else f"{100 * s['low']:.2f} to {100 * s['high']:.2f}"
                folds = ", ".join(f"{fold} {100 * value:.2f}" for fold, value in s["folds"].items())
                rows.append((title, which, method, fixed(s["mean"], 2, 100), interval, folds))
        for story, first in found["improved"].items():
            if first is not None:
                what = f"first improved prediction, {story}"
                longest = None if first["max"] is None else f"longest {first['max']:.1f} s"
                rows.append((what, which, GUIDED, _improved_text(first), None, longest))
    return plain_table(head, rows)


def _improved_text(found: Numbers | None) -> str | None:
    if found is None:
        return None
    text = f"{found['improved']} of {found['rounds']} rounds improved"
    return text if found["median"] is None else f"{text}, median {found['median']:.1f} s"


def _places_lines(places: Numbers) -> list[str]:
    gains = table(
        {
            "way": lambda gain: gain["way"],
            "painted px": lambda gain: f"{gain['painted_px']:,.0f}",
            "of these wrong before": lambda gain: f"{gain['corrected_px']:,.0f}",
            "Dice gained, unpainted": lambda gain: f"{gain['unpainted']:+.2f}",
            "Dice gained, other images": lambda gain: f"{gain['others']:+.2f}",
            "unpainted right, pp": lambda gain: f"{gain['right_pp']:+.2f}",
            "images": lambda gain: gain["images"],
            "seeds": lambda gain: gain["seeds"],
        },
        [{"way": way, **gain} for way, gain in places["gain"].items()],
    )
    differences = table(
        {
            "way": lambda gap: gap["way"],
            "than": lambda gap: gap["than"],
            "on": lambda gap: gap["on"],
            "folds": lambda gap: gap["folds"],
            "difference (95 % over images)": lambda gap: (
                f"{gap['mean']:+.2f} ({gap['low']:+.2f} to {gap['high']:+.2f})"
            ),
            "p": lambda gap: fixed(gap["p"], 3),
        },
        places["differences"],
    )
    return ["## Where to paint", "", *gains, "", *differences]


def _dice(found: Numbers | None) -> str | None:
    return None if found is None else f"{100 * found['mean']:.1f} ± {100 * found['std']:.1f}"
