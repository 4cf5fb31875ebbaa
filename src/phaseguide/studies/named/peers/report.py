"""The tables of the study, in Markdown, and published numbers beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phaseguide.studies.guidance.asking import Ask
from phaseguide.studies.named.peers.methods import ASKS, NONE
from phaseguide.studies.networks.tables import NOT_RUN
from phaseguide.studies.report import fixed, plain_table, section, set_lines

Numbers = Mapping[str, Any]

TITLES = ("none", "true (oracle)", "expert 10 %", "expert 10 %, stated", "expert 30 %", "expert 30 %, stated")
TITLE = dict(zip(ASKS, TITLES, strict=True))
"""What tables and the figure call a ratio. *Stated*: the expert says how sure they are."""

PROTOCOL = (
    "Each image is painted and segmented by itself: every method learns from the same strokes on it, drawn by a "
    "simulated user who is led by no method's mistakes, and is judged on its unpainted pixels. Experts are simulated: "
    "the true ratio with a log-normal error; all methods are told the same numbers. Seconds are those of one thread. "
    "The weight of the volume-fraction term was chosen on painted images of the training folds, with their true ratios."
)

PUBLISHED = (
    (
        "HR-Dv2 features and a small classifier (Docherty 2024, `scaling.csv` of its repository)",
        "mIoU 79.9 / 77.8 / 79.9 / 82.7 / 85.8 from 1 / 2 / 4 / 8 / 16 labelled micrographs",
        "labelled micrographs teach and others are segmented; other materials; features of a pretrained transformer",
    ),
    (
        "classical features and a random forest (the same table)",
        "mIoU 34.9 / 38.0 / 39.3 / 39.8 / 40.7 from 1 / 2 / 4 / 8 / 16",
        "as above; the nearest to `forest` here, which learns from strokes on the image that it segments",
    ),
    (
        "U-Net on carbides of reactor steel (Gercek 2025, abstract)",
        "Dice 98 from 10 images; classical 85; transferred to another steel 94",
        "two phases; images labelled all over teach, other images are segmented",
    ),
    (
        "two stages on martensite-austenite islands in bainite (2025, abstract)",
        "IoU 65.5 / 88.0 / 81.5 by morphology",
        "two phases, trained on labelled images; IoU of the islands by their kind, no mean over phases",
    ),
    (
        "ExpertSegmentation, boosted trees with volume-fraction targets (Acta Materialia 291, 2025)",
        "no number was read",
        "the source of `boosted`, which is derived anew from its abstract and user guide",
    ),
)


def to_lines(numbers: Numbers) -> list[str]:
    """Return all tables: scores, what a ratio is worth to each method, methods against `boosted`, published numbers."""
    lines = [f"Size {numbers['size']}. {PROTOCOL}", *set_lines(numbers)]
    for found in numbers["data_sets"]:
        if not found["images"]:
            lines += section(found["name"], [NOT_RUN])
            continue
        lines += section(
            f"{found['name']}: {found['images']} images of {', '.join(found['splits'])}, "
            f"seeds {', '.join(map(str, found['seeds']))}; {found['strokes']:.0f} strokes an image, "
            f"{found['painted_px']:,.0f} px ({100 * found['painted_share']:.1f} %)",
            _scores(found["conditions"]),
        )
        lines += section(
            "What the ratio changes in each method, image by image (95 %)",
            _pairs(found["conditions"], "to_none", "ratio"),
        )
        lines += section(
            "Against `boosted` with the same ratio, image by image (95 %)",
            _pairs(found["conditions"], "to_boosted", "ratio"),
        )
        lines += section("Methods", _methods(found["conditions"]))
    return [
        *lines,
        *section(
            "Published, for orientation; none of it is comparable number by number",
            plain_table(("what", "published, %", "how the protocol differs"), PUBLISHED),
        ),
    ]


def ask_of(row: Numbers) -> Ask:
    """Return which ratio a row is of."""
    return Ask(row["source"], row["uncertainty"])


def _scores(conditions: list[Numbers]) -> list[str]:
    titles = (
        "method", "ratio", "Dice (95 %)", "mIoU", "accuracy", "micro-IoU", "boundary F1, 2 px", "areas off, pp",
        "seconds",
    )  # fmt: skip

    def lines() -> Iterator[list[object]]:
        for condition in conditions:
            name = f"`{condition['name']}`"
            if not condition["run"]:
                yield [name, NOT_RUN, *[None] * (len(titles) - 2)]
            for row in condition["rows"]:
                ask = ask_of(row)
                seconds = row["seconds"] + (condition["learn_s"] if ask == NONE else 0)
                yield [
                    name,
                    TITLE[ask],
                    _interval(row["dice"]),
                    *(
                        fixed(row[m]["mean"], 1, 100)
                        for m in ("miou", "accuracy", "micro_iou", "boundary_f1")
                    ),
                    fixed(row["error_pp"]["mean"], 2),
                    f"{'+' if ask != NONE else ''}{seconds:.1f}",
                ]
                name = ""

    return plain_table(titles, lines())


def _pairs(conditions: list[Numbers], to: str, what: str) -> list[str]:
    def lines() -> Iterator[list[object]]:
        for condition in conditions:
            name = f"`{condition['name']}`"
            for row in condition["rows"]:
                if (pairs := row[to]) is None:
                    continue
                yield [
                    name,
                    TITLE[ask_of(row)],
                    *(_pair(pairs[m], 100) for m in ("dice", "miou")),
                    _pair(pairs["error_pp"], 1),
                    pairs["dice"]["n"],
                    fixed(pairs["dice"]["p"], 3),
                ]
                name = ""

    return plain_table(("method", what, "Dice", "mIoU", "areas off, pp", "n", "p (Dice, Wilcoxon)"), lines())


def _methods(conditions: list[Numbers]) -> list[str]:
    return plain_table(
        ("method", "what", "parameters, M", "seconds to learn", "weight of the volume-fraction term"),
        (
            [
                f"`{c['name']}`",
                c["what"],
                fixed(c["parameters"], 2, 1e-6),
                fixed(c["learn_s"], 1) if c["run"] else NOT_RUN,
                ", ".join(f"{weight:g}" for weight in c["weights"]),
            ]
            for c in conditions
        ),
    )


def _interval(found: Numbers) -> str:
    text = f"{100 * found['mean']:.1f}"
    return text if found["low"] is None else f"{text} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def _pair(paired: Numbers, scale: float) -> str:
    mean, low, high = (scale * paired[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
