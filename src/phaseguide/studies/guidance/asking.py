"""Which ratios a network is given of a place, and how they act: the rows of the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phaseguide.evaluation.ratio_source import draw_generator, parse_source
from phaseguide.ratios import Ratio, blend_ratios
from phaseguide.segmentation.request import Mode
from phaseguide.studies.guidance.places import Place, ratio_of_another

MODES: tuple[Mode, ...] = ("conditioned", "matched", "both")
GUESSES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Accuracies a of the published guess; with four phases 0.25 would be flat."""

EXPERTS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Errors of drawn experts, taken as exact: standard deviations in log-ratio space."""

OWN = "own"
"""The ratio of the network's own map without one, fed back to it."""

OTHER = "another's"
"""The control: the ratio of a place of another image."""

WITHOUT = "none"


@dataclass(frozen=True)
class Ask:
    """Where a ratio comes from, as `parse_source` reads it, `OWN` or `OTHER`, and the uncertainty stated with it."""

    source: str
    uncertainty: float = 0.0


ASKS: tuple[Ask, ...] = (
    Ask("oracle"),
    *(Ask(f"guess:{a:g}") for a in GUESSES),
    *(Ask(f"expert:{error:g}") for error in EXPERTS),
    Ask("expert:0.1", 0.1),
    Ask("train-mean"),
    Ask(OWN),
    Ask(OTHER),
)


@dataclass(frozen=True)
class Key:
    """One row of the study: a source of ratios with its stated uncertainty, and where it acts; none for no ratio."""

    source: str = WITHOUT
    uncertainty: float = 0.0
    mode: Mode | None = None

    def __str__(self) -> str:
        return self.source if self.mode is None else f"{self.source} {self.uncertainty:g} {self.mode}"


def keys(guided: bool) -> Iterator[Key]:
    """Every row that there can be of a network, the one without a ratio first."""
    yield Key()
    for ask in ASKS:
        for mode in MODES if guided else ("matched",):
            yield Key(ask.source, ask.uncertainty, mode)


def asked_ratios(
    ask: Ask, place: Place, train_mean: Ratio, own: Ratio, pool: Sequence[Place], *, experts: int, seed: int
) -> list[Ratio]:
    """Return the ratios that are asked of a place, NaN where open: several of an expert, who is drawn."""
    if ask.source == OWN:
        return [own.copy()]
    if ask.source == OTHER:
        other = ratio_of_another(place, pool, seed)
        return [] if other is None else [other]
    source = parse_source(ask.source)
    draws = range(experts if source.is_drawn else 1)
    asked = [source.asked(place.true, train_mean, draw_generator(seed, d, place.name)) for d in draws]
    return [ratio for ratio in asked if ratio is not None]


def imposed_ratio(ask: Ask, asked: Ratio, own: Ratio, own_error: Ratio) -> Ratio:
    """Return what a network is given and a map is matched to: as asked where exact, else weighed against its own."""
    return blend_ratios(asked, own, ask.uncertainty, own_error)
