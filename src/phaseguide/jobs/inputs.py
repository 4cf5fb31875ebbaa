"""What the user has set for a ratio, as one value: to be kept with a result and put back with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from phaseguide.segmentation.request import AUTO, Estimator

FIELD, SPECIMEN = "field", "specimen"


@dataclass(frozen=True)
class Inputs:
    """Boxes and choices from which a request is made.

    Attributes
    ----------
    phases : tuple of str
        Names of the phases that the values are for.
    shares : tuple of float or None
        Area shares in [0, 1], None where open.
    spreads : tuple of float or None
        Log-ratio standard deviation that was set for a phase by itself, 0 where its value is locked (imposed
        exactly), None where the source decides.
    source : str
        Key of the chosen source.
    title : str
        Where an offered ratio came from; empty for values that were typed.
    scope : str
        `FIELD` or `SPECIMEN`.
    auto : bool
        Whether the model is to find the ratio; the boxes are then empty.
    estimator : str
        How it then does, see `phaseguide.segmentation.request.Request`.
    """

    phases: tuple[str, ...] = ()
    shares: tuple[float | None, ...] = ()
    spreads: tuple[float | None, ...] = ()
    source: str = ""
    title: str = ""
    scope: str = FIELD
    auto: bool = False
    estimator: Estimator = AUTO

    def unlocked(self) -> Inputs:
        """Return the same without locks, which hold for the values that they were set for and for no others."""
        return replace(self, spreads=tuple(spread or None for spread in self.spreads))
