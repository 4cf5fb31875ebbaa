"""The training record of a card: what is read of it has its form, and its history stays of moderate length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

MOST_GENERATIONS = 40
"""Trainings that a record tells of one by one, each inside the record of the next; older ones are summed up."""


def check_record(record: dict[str, Any]) -> None:
    """Make sure that what the program reads of a training record has the form that it reads.

    Everything else in it is told to the user, and may be anything.

    Raises
    ------
    ValueError
        Says which entry is not what it should be.
    """
    generation: Any = record
    while generation:
        if not isinstance(generation, dict):
            raise ValueError("training.start is not the record of a training")
        for key in ("parent", "root_sha256"):
            if not isinstance(generation.get(key, ""), str):
                raise ValueError(f"training.{key} is not a text")
        images = generation.get("images", {})
        if not isinstance(images, dict) or not all(
            _are(images.get(key, []), str) for key in ("train", "validation", "test")
        ):
            raise ValueError("training.images does not name images")
        if not _are(generation.get("grown", []), str):
            raise ValueError("training.grown does not name phases")
        blocks = generation.get("blocks", {})
        if not isinstance(blocks, dict) or not all(_is_block_history(one) for one in blocks.values()):
            raise ValueError("training.blocks does not hold rows and columns of blocks")
        generation = generation.get("start")


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _is_block_history(one: Any) -> bool:
    return isinstance(one, dict) and all(
        isinstance(one.get(key), list) and all(_are(pair, int) and len(pair) == 2 for pair in one[key])
        for key in ("held", "taught")
    )


def generations(record: Any) -> Iterator[dict[str, Any]]:
    """Yield a training record and those of the trainings before it, the latest first."""
    while isinstance(record, dict) and record:
        yield record
        record = record.get("start")


def as_stored(record: dict[str, Any]) -> dict[str, Any]:
    """Return a training record as JSON can hold it: numbers finite, trainings of long ago in one entry."""
    trainings = list(generations(only_finite(record)))
    if len(trainings) <= MOST_GENERATIONS:
        return trainings[0] if trainings else {}
    recent, old = trainings[: MOST_GENERATIONS - 1], trainings[MOST_GENERATIONS - 1 :]
    last = _summed_up(old)
    for generation in reversed(recent):
        last = {**generation, "start": last}
    return last


def _summed_up(old: list[dict[str, Any]]) -> dict[str, Any]:
    """One record for several: all images and blocks that they saw, and how the first of them began."""
    images = {
        key: sorted({name for one in old for name in one.get("images", {}).get(key, [])})
        for key in ("train", "validation")
    }
    blocks: dict[str, dict[str, list[Any]]] = {}
    for one in old:
        for image, seen in one.get("blocks", {}).items():
            known = blocks.setdefault(image, {"held": [], "taught": []})
            for key, places in known.items():
                places += [place for place in seen[key] if place not in places]
    return {**old[-1], "images": images, "blocks": blocks, "generations": len(old)}


def only_finite(value: Any) -> Any:
    """A record without numbers that JSON does not know, such as the score of a phase that no image has."""
    if isinstance(value, dict):
        return {key: only_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [only_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
