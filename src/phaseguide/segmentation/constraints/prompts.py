"""Boxes and points of a user: checked against image and phases, read from words, told in records."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.errors import MicrographError, SchemeError
from phaseguide.models.sam.prompts import MOST, Prompts
from phaseguide.phases import PhaseScheme

SLIP = 0.02
"""A box may reach so much of the image's longer side over its border without a word."""

NOT = "not"
"""Word before a phase that a point is not."""


def parse_meaning(text: str, scheme: PhaseScheme) -> int:
    """Return what a prompt stands for: a phase's label, negative for ``not <phase>``; raises `SchemeError` for none."""
    try:
        return scheme.find(text).label  # first, since a phase may be called "not ..."
    except SchemeError:
        word, _, rest = text.strip().partition(" ")
        if word.casefold() != NOT or not rest.strip():
            raise
    return -scheme.find(rest).label


def name_meaning(label: int, scheme: PhaseScheme) -> str:
    """Return the words that `parse_meaning` reads as a label."""
    name = scheme.names[abs(label) - 1]
    return name if label > 0 else f"{NOT} {name}"


def check_box(box: ArrayLike, label: int, shape: tuple[int, int], what: str) -> None:
    """Raise an error for a box (top, left, bottom, right) in px that cannot be meant; ``what`` is its name in errors.

    `MicrographError` where it has no area or lies outside the image, `SchemeError` for a box that is *not* a phase.
    """
    top, left, bottom, right = corners = np.asarray(box, dtype=np.float64)
    place = f"rows {top:g} to {bottom:g}, columns {left:g} to {right:g}"
    if not np.isfinite(corners).all() or bottom <= top or right <= left:
        raise MicrographError(
            f"{what} ({place}) has no area. Draw it from its top left to its bottom right corner, or remove it."
        )
    if top >= shape[0] - 0.5 or left >= shape[1] - 0.5 or bottom <= -0.5 or right <= -0.5:
        raise MicrographError(
            f"{what} ({place}) lies outside the image, which has {shape[0]} rows and {shape[1]} columns. Move or "
            "remove it."
        )
    if label < 0:
        raise SchemeError(
            f"{what} says what is not in it, which only points can say. Give it a phase, or use a point."
        )


def check_point(point: ArrayLike, shape: tuple[int, int], what: str) -> None:
    """Raise `MicrographError` for a point outside the image; as `check_box`."""
    row, column = place = np.asarray(point, dtype=np.float64)
    inside = np.isfinite(place).all() and (place >= -0.5).all() and (place < np.subtract(shape, 0.5)).all()
    if not inside:
        raise MicrographError(
            f"{what} (row {row:g}, column {column:g}) lies outside the image, which has {shape[0]} rows and "
            f"{shape[1]} columns. Move or remove it."
        )


def check_prompts(prompts: Prompts, shape: tuple[int, int], scheme: PhaseScheme) -> None:
    """Raise an error for prompts that cannot be meant on an image.

    `MicrographError` as `check_box` and `check_point`; `SchemeError` for a label that is no phase, or more prompts
    than a decoder takes.
    """
    if len(prompts) > MOST:
        raise SchemeError(
            f"There are {describe_prompts(prompts)}; at most {MOST} can be used at once. Remove some."
        )
    for number, (box, label) in enumerate(zip(prompts.boxes, prompts.box_phases, strict=True), start=1):
        check_box(box, int(label), shape, f"Box {number}")
    for number, point in enumerate(prompts.points, start=1):
        check_point(point, shape, f"Point {number}")
    prompts.validate(len(scheme))


def describe_overhang(prompts: Prompts, shape: tuple[int, int]) -> str:
    """Name the boxes that reach over the image's border by more than a hand's slip; empty where none does.

    They are cut at the border, which is what a box drawn by hand means; a mistyped number is told.
    """
    slip = SLIP * max(shape)
    over = [
        f"box {number}"
        for number, (top, left, bottom, right) in enumerate(prompts.boxes, start=1)
        if min(top, left) < -slip or bottom > shape[0] + slip or right > shape[1] + slip
    ]
    if not over:
        return ""
    said = ", ".join(over).capitalize()
    return (
        f"{said} reach{'es' if len(over) == 1 else ''} far over the border of the image ({shape[0]} rows, {shape[1]} "
        "columns) and is cut there. Is that what was meant?"
    )


def describe_prompts(prompts: Prompts) -> str:
    """Return how many boxes and points there are, in words."""
    counts = ((len(prompts.boxes), "box", "boxes"), (len(prompts.points), "point", "points"))
    return (
        " and ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n) or "no boxes or points"
    )


def prompt_rows(prompts: Prompts | None, scheme: PhaseScheme) -> list[dict[str, Any]]:
    """Return one JSON-able row a prompt: its phase in words, and its place in px; empty for None."""
    if prompts is None:
        return []
    rows: list[dict[str, Any]] = []
    for box, label in zip(prompts.boxes.tolist(), prompts.box_phases.tolist(), strict=True):
        place = dict(zip(("top", "left", "bottom", "right"), box, strict=True))
        rows.append({"kind": "box", "phase": name_meaning(label, scheme), **place})
    for (row, column), label in zip(prompts.points.tolist(), prompts.point_phases.tolist(), strict=True):
        rows.append({"kind": "point", "phase": name_meaning(label, scheme), "row": row, "column": column})
    return rows
