"""Where an expected value comes from, and how far that makes it believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phaseguide.errors import RatioError

Scope = Literal["field", "specimen"]
"""What a ratio describes: this field of view, or the specimen, which is the mean of its fields."""


@dataclass(frozen=True)
class Source:
    """Where an expected value comes from, and the log-ratio standard deviation that this means.

    Attributes
    ----------
    key : str
        What programs and the command line call it.
    title, tip : str
        What the user reads.
    uncertainty : float
        Standard deviation of log(phase : rest); 0 means exact.
    scope : {"field", "specimen"}
        What such a value describes unless the user says otherwise.
    """

    key: str
    title: str
    uncertainty: float
    tip: str
    scope: Scope = "field"


SOURCES = (
    Source(
        "field",
        "EBSD or point count of this field",
        0.1,
        "Measured on this very field. EBSD and point counts give area %.",
    ),
    Source(
        "bulk",
        "XRD or dilatometry of the specimen",
        0.2,
        "Measured on the specimen; single fields differ from it. XRD gives weight %: choose that basis.",
        "specimen",
    ),
    Source("visual", "Visual estimate", 0.3, "Estimated by eye or from experience."),
)
"""What a user chooses from."""

DEFAULT_SOURCE = "visual"

FORCE = Source("force", "Imposed exactly", 0.0, "Taken as exact, whatever the model sees.")
"""No source at all, so it is not among `SOURCES`: offered only to those who look for it."""


def find_source(key: str) -> Source:
    """Return a source by its key; case and surrounding spaces do not matter. `RatioError` lists the keys."""
    for source in (*SOURCES, FORCE):
        if source.key == key.strip().casefold():
            return source
    known = ", ".join(f"{s.key} ({s.title})" for s in SOURCES)
    raise RatioError(f"Source {key!r} is not known. Choose {known}.")
