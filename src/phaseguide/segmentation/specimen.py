"""Several fields: each by itself, or together as one specimen whose ratio their mean has to meet.

A metallographer's interval is made of the scatter between fields, so a ratio of the specimen must not be
forced on every field. A first look without a ratio tells what each field holds; the specimen's ratio is
weighed against the mean of that as one field's would be; one shift in log-ratio space for all fields makes
their mean meet the outcome (`phaseguide.ratios.shift_to_mean`); then each field gets its own share exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.errors import PhaseguideError, RatioError, as_user_error
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import Card
from phaseguide.ratios import (
    FLOOR,
    Ratio,
    blend_ratios,
    closed,
    complete_ratio,
    held_back,
    kept_out,
    shift_to_mean,
    total_variation,
    validate_ratio,
)
from phaseguide.segmentation.request import FirstLook, Request, Segmentation
from phaseguide.segmentation.review.advice import (
    conflict_limit,
    describe_absence_everywhere,
    describe_absence_here,
    describe_limit,
)
from phaseguide.segmentation.session import Session
from phaseguide.segmentation.stacks import area_px

OPENING = "Reading the image"

KEEP_PX = 4_000_000
"""Sessions of the first look are kept for the second up to this many pixels together; others open again."""


@dataclass(frozen=True)
class Field:
    """One field of view: what to call it in errors, and how to open it (perhaps more than once).

    ``request`` returns what is asked of this field by itself, once it is open; None: what is asked of all.
    """

    name: str
    open: Callable[[], Session]
    request: Callable[[], Request] | None = None


@dataclass(frozen=True)
class FieldDone:
    """One field is segmented; ``index`` is its place in the sequence of fields."""

    index: int
    session: Session
    segmentation: Segmentation


@dataclass(frozen=True)
class FieldFailed:
    """One field could not be segmented; the others go on without it."""

    index: int
    error: PhaseguideError


@dataclass(frozen=True)
class Composition:
    """A specimen after the first look: area-weighted means over its fields.

    Attributes
    ----------
    asked : ndarray, shape (K,)
        What the user expects of the specimen, NaN where open.
    own : ndarray, shape (K,)
        What the model sees without a ratio.
    imposed : ndarray, shape (K,)
        The blend of both, which the mean of the fields will have.
    fields : int
        How many fields it is a mean of.
    """

    asked: Ratio
    own: Ratio
    imposed: Ratio
    fields: int


FieldEvent = Progress | Notice | FieldDone | FieldFailed
Tell = Callable[[int, Progress | Notice], Progress | Notice]
"""Puts what a field tells of itself, given by its place, into the words for all."""

SpecimenEvent = FieldEvent | Composition | Finished[Composition | None]


def segment_fields(
    fields: Sequence[Field], request: Request, tell: Tell | None = None
) -> Iterator[FieldEvent | Finished[None]]:
    """Segment every field by itself, each as its request or the common one says.

    Parameters
    ----------
    fields : sequence of Field
    request : Request
    tell : callable, optional
        Words for progress and notices; None: the place of the field among all, and its name.

    Yields
    ------
    Progress, Notice
        While working.
    FieldDone, FieldFailed
        After each field.
    Finished
        Last, with nothing.
    """
    tell = tell or teller(fields, lambda index: f"Field {index + 1} of {len(fields)}")
    for index, field in enumerate(fields):
        yield (yield from _attempt(index, field, request, tell))
    yield Finished(None)


def teller(
    fields: Sequence[Field], stage: Callable[[int], str], first: int = 0, total: int | None = None
) -> Tell:
    """Tell the place of a field among all, and say of which field a notice is.

    Parameters
    ----------
    fields : sequence of Field
    stage : callable
        What is being done with the field of an index. A lone field tells its own progress instead.
    first, total : int, optional
        Steps that were done before the first field, and steps in all; None: one a field.
    """
    steps = len(fields) if total is None else total

    def tell(index: int, event: Progress | Notice) -> Progress | Notice:
        if isinstance(event, Notice):
            return replace(event, where=fields[index].name)
        return event if steps == 1 else Progress(stage(index), first + index, steps)

    return tell


def segment_specimen(
    fields: Sequence[Field],
    request: Request,
    *,
    own_error: ArrayLike | None = None,
    keep_px: int = KEEP_PX,
) -> Iterator[SpecimenEvent]:
    """Segment the fields of one specimen so that their mean meets its ratio, and their scatter stays.

    Every field is opened for a first look without a ratio, and again to be segmented, unless the
    sessions are few and small or ``open`` returns one that the caller keeps.

    Parameters
    ----------
    fields : sequence of Field
        All with the same model.
    request : Request
        ``asked`` and ``uncertainty`` are about the specimen.
    own_error : float or array_like, shape (K,), optional
        Log-ratio standard deviation of the model's mean over the fields; None: that of one field from the
        model's card. Fields of one specimen are alike, so most of the error is the same in all of them and
        does not average out.
    keep_px : int
        See `KEEP_PX`; 0 where the caller keeps sessions itself.

    Yields
    ------
    Progress, Notice
        While working.
    Composition
        Once, after the first look.
    FieldDone, FieldFailed
        After each field. A segmentation says what was ``asked`` of the specimen with its uncertainty; its
        ``imposed`` is the share of this field.
    Finished of Composition
        Last; None if no field could be segmented.

    Raises
    ------
    RatioError
        No ratio, or one that cannot be meant.
    """
    if request.asked is None or np.isnan(request.asked).all():
        raise RatioError(
            "A specimen needs a ratio, but every phase is open. Give at least one phase a value."
        )
    first_look = Request(smoothing_px=request.smoothing_px, min_island_px=request.min_island_px)
    steps, of = 2 * len(fields), f"of {len(fields)}"
    looking = teller(fields, lambda index: f"Field {index + 1} {of} without the ratio", 0, steps)
    matching = teller(
        fields, lambda index: f"Field {index + 1} {of} with its part of the ratio", len(fields), steps
    )
    kept: dict[int, Session] = {}
    seen: dict[int, tuple[Ratio, int]] = {}
    card, asked, room = None, request.asked, keep_px
    for index, field in enumerate(fields):
        look = yield from _attempt(index, field, first_look, looking)
        if isinstance(look, FieldFailed):
            yield look
            continue
        if card is None:
            card = look.session.model.card
            asked = validate_ratio(asked, card.scheme)
        seen[index] = look.segmentation.own, area_px(look.segmentation.own_labels)
        if look.segmentation.labels.size <= room:
            kept[index], room = look.session, room - look.segmentation.labels.size
        del look  # or its session would be there while the next one is made
    if card is None:
        yield Finished(None)
        return
    own, areas = np.array([shares for shares, _ in seen.values()]), np.array([px for _, px in seen.values()])
    mean = closed(areas @ own)
    error = card.own_error if own_error is None else own_error
    whole = Composition(asked, mean, blend_ratios(asked, mean, request.uncertainty, error), len(seen))
    yield whole
    yield from _conflict(whole, card)
    absent = kept_out(asked, mean, request.uncertainty)
    held = held_back(asked, mean, request.uncertainty, error) & ~absent
    for said in (
        describe_limit(asked, whole.imposed, held, card.scheme),
        describe_absence_everywhere(asked, absent, card.scheme),
    ):
        if said:
            yield Notice(said)
    shares = shift_to_mean(own, areas, whole.imposed)
    for index, seen_here, share in zip(seen, own, shares, strict=True):
        field = fields[index]
        if index in kept:
            field = replace(field, open=partial(kept.pop, index))
        exactly = replace(request, asked=share, uncertainty=0.0, scope="specimen")
        outcome = yield from _attempt(index, field, exactly, matching)
        if isinstance(outcome, FieldDone):
            here = describe_absence_here(asked, (np.maximum(seen_here, share) < FLOOR) & ~absent, card.scheme)
            notices = (*([here] if here else []), *outcome.segmentation.notices)
            told = replace(
                outcome.segmentation,
                asked=asked,
                uncertainty=request.uncertainty,
                imposed=share,
                notices=notices,
            )
            outcome = replace(outcome, segmentation=told)
        yield outcome
        del outcome
    yield Finished(whole)


def _conflict(whole: Composition, card: Card) -> Iterator[Notice]:
    gap = total_variation(whole.own, complete_ratio(whole.asked, whole.own))
    fields = f"{whole.fields} fields" if whole.fields > 1 else "one field"
    if gap > conflict_limit(card):
        yield Notice(
            f"The expected ratio of the specimen differs from the mean of what the model sees in its "
            f"{fields} in {gap * 100:.0f} % of the area. Check where, and whether these fields "
            "stand for the specimen."
        )


def segment_field(
    index: int, field: Field, request: Request, tell: Tell
) -> Generator[Progress | Notice | FirstLook, None, FieldDone]:
    """Open and segment one field, whatever may stand in the way; returns what came of it."""
    yield tell(index, Progress(OPENING, 0, 0))
    session = field.open()
    segmentation: Segmentation | None = None
    for event in session.segment(request if field.request is None else field.request()):
        if isinstance(event, Finished):
            segmentation = event.result
        elif isinstance(event, Progress | Notice):
            yield tell(index, event)
        elif isinstance(event, FirstLook):
            yield event
    assert segmentation is not None
    return FieldDone(index, session, segmentation)


def _attempt(
    index: int, field: Field, request: Request, tell: Tell
) -> Generator[Progress | Notice, None, FieldDone | FieldFailed]:
    """Segment one field; what a user or the system can cause makes it fail, not the others."""
    try:
        events = segment_field(index, field, request, tell)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                done: FieldDone = end.value
                return done
            if not isinstance(event, FirstLook):  # of many fields nobody watches one
                yield event
    except Exception as error:  # whatever is wrong with one field, the others go on
        return FieldFailed(index, as_user_error(error, field.name))
