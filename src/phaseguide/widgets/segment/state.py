"""What the step Segment is set to, and what it shows: controls write it, views listen to it, jobs are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from psygnal import SignalGroupDescriptor

from phaseguide.jobs.inputs import Inputs
from phaseguide.jobs.session_store import Options
from phaseguide.ratios import Ratio
from phaseguide.ratios.sources import DEFAULT_SOURCE, FORCE, SOURCES, Source

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from phaseguide.jobs.plane_index import Index
    from phaseguide.models.card import Card
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.network.device import Device
    from phaseguide.segmentation.request import Mode, Segmentation

Phase = Literal["idle", "running", "changed", "on trial"]
"""Nothing under way; a job runs; values are changed and not answered; an answer can be accepted."""

Say = Callable[..., None]
"""Puts a sentence on the status line; ``alarm=True`` in red."""

_SOURCE = {source.key: source for source in (*SOURCES, FORCE)}


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be used, with its phases read once."""

    path: Path
    card: Card
    scheme: PhaseScheme


@dataclass(frozen=True)
class Processing:
    """How scores become labels: where the ratio acts (None: as the model says), and what is smoothed."""

    mode: Mode | None = None
    smoothing_px: float = 0.0
    min_island_px: int = 0


def same_layer(one: Layer | None, other: Layer | None) -> bool:
    """Whether two are the same layer, or both none; napari's proxies of it last for one call."""
    return one is other or (one is not None and other is not None and one.unique_id == other.unique_id)


@dataclass
class SegmentState:
    """One signal a field, emitted in the GUI thread when the field has another value than before.

    Attributes
    ----------
    image : Image or None
        The chosen layer.
    plane : tuple of int
        Its plane on show.
    model : ModelChoice or None
    inputs : Inputs
        What is set for the ratio.
    options : Options
        What a session is made with.
    processing : Processing
    device : Device or None
        What the network runs on; None while it is looked for, or where there is none.
    every_plane : bool
        Whether every plane of a stack is to be segmented.
    follow : bool
        Whether the mask is to follow the values.
    shown : Segmentation or None
        Result on show of the plane, with the edits on top.
    phase : str
        See `Phase`.
    """

    # Arrays in a result, and a model that was opened again, have no equality that is of use here.
    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"image": same_layer, "model": is_, "shown": is_}, connect_child_events=False
    )

    image: Image | None = None
    plane: Index = ()
    model: ModelChoice | None = None
    inputs: Inputs = field(default_factory=lambda: Inputs(source=DEFAULT_SOURCE))
    options: Options = field(default_factory=Options)
    processing: Processing = field(default_factory=Processing)
    device: Device | None = None
    every_plane: bool = False
    follow: bool = True
    shown: Segmentation | None = None
    phase: Phase = "idle"

    @property
    def scheme(self) -> PhaseScheme | None:
        """Phases of the chosen model."""
        return None if self.model is None else self.model.scheme

    @property
    def source(self) -> Source:
        """Where the expected values come from."""
        return _SOURCE[self.inputs.source]

    @property
    def source_uncertainty(self) -> float:
        """Log-ratio standard deviation that the source means."""
        return self.source.uncertainty

    @property
    def uncertainty(self) -> float | tuple[float, ...]:
        """Log-ratio standard deviation in force: one number, or one a phase where any has its own."""
        usual, spreads = self.source_uncertainty, self.inputs.spreads
        if all(spread in (None, usual) for spread in spreads):
            return usual
        return tuple(usual if spread is None else spread for spread in spreads)

    @property
    def asked(self) -> Ratio | None:
        """Shares as typed, (K,), NaN where open; None if all are open. Not checked."""
        shares = np.array(self.inputs.shares, dtype=np.float64)  # None becomes NaN
        return None if not shares.size or np.isnan(shares).all() else shares
