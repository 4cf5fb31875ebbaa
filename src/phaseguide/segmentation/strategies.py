"""How a ratio acts on a label map: as a user asked, region by region, or as the model finds it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.events import Notice, Progress
from phaseguide.models.card import Card
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import (
    FLOOR,
    Ratio,
    blend_ratios,
    complete_ratio,
    count_labels,
    held_back,
    kept_out,
    ratio_from_labels,
)
from phaseguide.segmentation.constraints.region_matching import match_regions
from phaseguide.segmentation.constraints.regions import (
    RegionShares,
    check_regions,
    impose_regions,
    measure_regions,
    regions_labels,
    report_regions,
    whole_composition,
)
from phaseguide.segmentation.edits import excluded_only
from phaseguide.segmentation.matching.islands import raise_cleaned, remove_small_islands
from phaseguide.segmentation.matching.match import Match, Matcher, argmax_labels, match_ratio
from phaseguide.segmentation.matching.prior_shift import prior_shift
from phaseguide.segmentation.network.logits import Scoring, Window
from phaseguide.segmentation.network.told import Told
from phaseguide.segmentation.request import FEEDING_BACK, FirstLook, FoundRatio, Mode, Preview, Request
from phaseguide.segmentation.review.advice import (
    describe_absence,
    describe_conflict,
    describe_estimate,
    describe_limit,
    describe_match,
    describe_miss,
    describe_no_feedback,
    describe_rounds,
)

Labels = NDArray[np.uint8]

AUTO_ROUNDS = 10
AUTO_SETTLED = 0.001


@dataclass(frozen=True)
class Maps:
    """Maps that no ratio had a part in, with their area shares.

    ``own`` is that of the model alone. ``seen`` is what it sees when it is shown the user's prompts, which a
    ratio is weighed against; the same where there are none.
    """

    own_labels: Labels
    own: Ratio
    seen_labels: Labels
    seen: Ratio


@dataclass(frozen=True)
class Outcome:
    """What a strategy comes to; the attributes are those of `phaseguide.segmentation.request.Segmentation`."""

    labels: Labels
    imposed: Ratio | None = None
    mode: Mode | None = None
    notices: tuple[str, ...] = ()
    regions: tuple[RegionShares, ...] = ()
    found: FoundRatio | None = None


Steps = Generator[Progress | Notice | Preview | FirstLook, None, Outcome]


class KeptMatcher:
    """The last matcher of a session: another number then costs only the matching."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[Any, ...], Matcher] | None = None

    def ready(
        self, scoring: Scoring, request: Request, edits: Labels | None, conditioned: Ratio | None
    ) -> tuple[NDArray[np.float32], Matcher]:
        """Return what is matched, calibrated scores of the network with or without the ratio, and the matcher."""
        scores = scoring.matchable(conditioned, request.smoothing_px, request.prompts)
        ratio = None if conditioned is None else tuple(conditioned.tolist())
        shown = None if request.prompts is None else request.prompts.key
        key = (id(scores), ratio, shown, request.smoothing_px)
        if self._kept is None or self._kept[0] != key:
            self._kept = None
            self._kept = (key, Matcher(scores, edits))
        return scores, self._kept[1]

    def forget(self) -> None:
        """Let go of it: the edits have changed."""
        self._kept = None


@dataclass(frozen=True)
class Task:
    """What a strategy works on: a checked request, the scores of an image, and its maps without a ratio."""

    request: Request
    maps: Maps
    scoring: Scoring
    matcher: KeptMatcher
    edits: Labels | None
    focus: Window | None

    @property
    def card(self) -> Card:
        """Card of the model."""
        return self.scoring.model.card

    @property
    def scheme(self) -> PhaseScheme:
        """Phases of the model."""
        return self.card.scheme

    def blend(self, asked: Ratio, own: Ratio, uncertainty: float | tuple[float, ...]) -> Ratio:
        """Weigh what was asked against what the model sees."""
        return blend_ratios(asked, own, uncertainty, self.card.own_error, self.shown(own))

    def shown(self, own: Ratio) -> NDArray[np.bool_]:
        """Phases that the user has painted somewhere, or shown by a box or a point; looked at where it matters."""
        if (own >= FLOOR).all():
            return np.ones(own.size, dtype=np.bool_)
        counts = np.zeros(256) if self.edits is None else count_labels(self.edits)
        shown: NDArray[np.bool_] = counts[1 : own.size + 1] > 0
        if (prompts := self.request.prompts) is not None:
            shown |= np.isin(np.arange(1, own.size + 1), [*prompts.box_phases, *prompts.point_phases])
        return shown

    def mode(self) -> Generator[Notice, None, Mode]:
        """Return where the ratio acts; a model without guidance that takes one can only be matched."""
        mode: Mode = self.request.mode or self.card.inference.mode
        if mode != "matched" and not self.card.guidance.takes_ratio:
            mode = "matched"
            yield Notice(
                f"Model {self.card.name!r} has no guidance that takes a ratio; it acts by matching only."
            )
        return mode

    def conditioned(
        self, told: Told, focus: Window | None
    ) -> Generator[Progress | Notice | Preview | FirstLook, None, NDArray[np.float32]]:
        """Scores of the network that knows the ratio, and the prompts, smoothed if asked."""
        excluded = excluded_only(self.edits)
        scores = yield from self.scoring.guided(told, self.request.prompts, excluded, focus)
        return self.scoring.smooth(scores, self.request.smoothing_px)

    def match(self, imposed: Ratio, *, conditioned: Ratio | None) -> Match:
        """Match the calibrated scores, of the network with or without the ratio."""
        scores, matcher = self.matcher.ready(self.scoring, self.request, self.edits, conditioned)
        match = matcher.match(imposed)
        if not self.request.min_island_px:
            return match
        # Cleaning changes the composition, so matching runs again, last, on scores that hold
        # the cleaned islands where they now belong.
        cleaned = remove_small_islands(match.labels, self.request.min_island_px, self.edits)
        return match_ratio(raise_cleaned(scores, cleaned, match.offsets), imposed, fixed=self.edits)

    def shares(self, labels: Labels) -> Ratio:
        """Area shares of a map of the image."""
        return area_shares(labels, self.scheme, self.scoring.name)


def without_ratio(task: Task) -> Outcome:
    """Take the map that the model sees, with the prompts if there are any."""
    labels = argmax_labels(seen_scores(task.scoring, task.request), task.edits)
    return Outcome(cleaned(labels, task.edits, task.request))


def as_asked(task: Task, asked: Ratio) -> Steps:
    """Impose the ratio that a user asked for, weighed against what the model sees."""
    mode = yield from task.mode()
    request, card, scheme, own = task.request, task.card, task.scheme, task.maps.seen
    imposed = task.blend(asked, own, request.uncertainty)
    none = kept_out(asked, own, request.uncertainty, task.shown(own))
    told = Told(imposed, asked, own, request.uncertainty)
    if mode == "conditioned":
        scores = yield from task.conditioned(told, task.focus)
        labels = cleaned(argmax_labels(scores, task.edits), task.edits, request)
        achieved = task.shares(labels)
        aimed = np.where(np.isnan(asked) | none, np.nan, imposed)
        notices = sentences(describe_miss(aimed, achieved, scheme))
    else:
        if mode == "both":
            yield from task.conditioned(told, task.focus)
        match = task.match(imposed, conditioned=imposed if mode == "both" else None)
        labels, achieved = match.labels, task.shares(match.labels)
        notices = sentences(describe_match(match))
    if request.scope == "field":
        held = held_back(asked, own, request.uncertainty, card.own_error) & ~none
        notices = (
            *sentences(describe_conflict(complete_ratio(asked, own), own, achieved, card)),
            *sentences(describe_limit(asked, imposed, held, scheme)),
            *sentences(describe_absence(asked, none, scheme)),
            *notices,
        )
    return Outcome(labels, imposed, mode, notices)


def by_region(task: Task, asked: Ratio | None) -> Steps:
    """Impose a ratio on each region, and ``asked`` on the rest of the field."""
    request, maps, scoring = task.request, task.maps, task.scoring
    shape, n_phases = (maps.own_labels.shape[0], maps.own_labels.shape[1]), len(task.scheme)
    regions = check_regions(request.regions, shape, task.scheme)
    mode = yield from task.mode()
    owner = regions_labels(regions, shape)
    seen, areas = measure_regions(maps.seen_labels, owner, len(regions), n_phases)
    owns = seen
    if maps.seen_labels is not maps.own_labels:
        owns, _ = measure_regions(maps.own_labels, owner, len(regions), n_phases)
    field = (asked, request.uncertainty)
    imposed, notices = impose_regions(regions, field, seen, task.blend)
    conditioned = None
    if mode != "matched":
        conditioned = whole_composition(imposed, seen, areas)
        told = Told(conditioned, conditioned, whole_composition(np.full_like(seen, np.nan), seen, areas), 0.0)
        yield from task.conditioned(told, task.focus)
    match = match_regions(
        scoring.matchable(conditioned, request.smoothing_px, request.prompts),
        regions,
        owner,
        imposed,
        start=maps.seen_labels,
        fixed=task.edits,
        min_island_px=request.min_island_px,
    )
    shares = report_regions(regions, field, owns, areas, imposed, match.achieved)
    if np.isnan(imposed).all():  # the regions are only measured
        return Outcome(match.labels, regions=shares)
    whole = whole_composition(imposed, seen, areas)
    used: Mode = "both" if mode != "matched" else "matched"
    if mode == "conditioned":
        notices += ("Regions are always matched too: the network takes one ratio for the whole field.",)
    return Outcome(match.labels, whole, used, notices + match.notices, shares)


def found_by_model(task: Task) -> Steps:
    """Let the model find the ratio, and match the calibrated scores to it, or ask the network that knows it."""
    request, scoring, card = task.request, task.scoring, task.card
    if request.estimator == "autoregressive" and card.guidance.acts_inside:
        return (yield from _fed_back(task))
    notices: tuple[str, ...] = ()
    if request.estimator == "prior-shift":
        scores = scoring.matchable(None, request.smoothing_px, request.prompts)
        metal = scoring.metal
        estimate = prior_shift(scores[:, *metal.window], card.training_ratio_mean, metal.excluded)
        found = FoundRatio("prior-shift")
    else:
        estimate, found = task.maps.seen, FoundRatio("own")
        notices = sentences(describe_estimate(card))
        if request.estimator == "autoregressive":
            notices = (describe_no_feedback(card), *notices)
    match = task.match(estimate, conditioned=None)
    return Outcome(match.labels, estimate, "matched", notices + sentences(describe_match(match)), found=found)


def _fed_back(task: Task) -> Steps:
    """Feed the measured composition back until it settles, and take the map that the network then makes."""
    request, excluded = task.request, excluded_only(task.edits)
    measured, rounds, settled = task.maps.seen, 0, False
    while not settled and rounds < AUTO_ROUNDS:
        yield Progress(FEEDING_BACK, rounds, AUTO_ROUNDS)
        given = measured
        scores = yield from task.conditioned(Told(given, given, task.maps.seen, 0.0), None)
        measured = task.shares(argmax_labels(scores, excluded))
        rounds += 1
        settled = bool(np.abs(measured - given).max() < AUTO_SETTLED)
    notices = sentences(describe_rounds(rounds, settled))
    mode: Mode = request.mode or "conditioned"
    if mode == "conditioned":
        labels, imposed = cleaned(argmax_labels(scores, task.edits), task.edits, request), given
    else:
        imposed = given if mode == "both" else measured
        match = task.match(imposed, conditioned=given if mode == "both" else None)
        labels, notices = match.labels, notices + sentences(describe_match(match))
    return Outcome(labels, imposed, mode, notices, found=FoundRatio("autoregressive", rounds, settled))


def seen_scores(scoring: Scoring, request: Request) -> NDArray[np.float32]:
    """Scores without a ratio, with the prompts that the network was shown last, if any; smoothed."""
    return scoring.smoothed(request.smoothing_px, prompted=request.prompts is not None)


def cleaned(labels: Labels, fixed: Labels | None, request: Request) -> Labels:
    """Remove the small islands of a map if that was asked."""
    return remove_small_islands(labels, request.min_island_px, fixed) if request.min_island_px else labels


def area_shares(labels: Labels, scheme: PhaseScheme, name: str) -> Ratio:
    """Area shares of a map, shape (K,); raises `MicrographError` where every pixel is excluded."""
    shares = ratio_from_labels(labels, len(scheme))
    if shares is None:
        raise MicrographError(f"{name}: every pixel is excluded. Erase some of the exclusion.")
    return shares


def sentences(text: str) -> tuple[str, ...]:
    """What there is to say, as none or one."""
    return (text,) if text else ()
