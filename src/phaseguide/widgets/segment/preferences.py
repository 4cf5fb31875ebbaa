"""The forms behind the widget: advanced options, where a value comes from, and the user's preferences."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from phaseguide.jobs.session_store import Options
from phaseguide.ratios.sources import DEFAULT_SOURCE, SOURCES
from phaseguide.ratios.sources import Source as Source  # for the widgets, which take all of this from here
from phaseguide.segmentation.request import Mode

PLUGIN = "napari-phaseguide"

AUTOMATIC = 0
"""Of a number that may be left to the program."""


def _choice(default: str, title: str, choices: dict[str, str], tip: str) -> Any:
    return field(default=default, metadata={"title": title, "choices": choices, "tip": tip})


def _number(
    default: float,
    title: str,
    low: float,
    high: float,
    step: float,
    unit: str,
    tip: str,
    *,
    automatic: bool = False,
) -> Any:
    """A number from ``low`` to ``high``; with ``automatic`` also 0, which leaves the choice to the program."""
    about = {"title": title, "low": low, "high": high, "step": step, "unit": unit, "tip": tip}
    return field(default=default, metadata={**about, "automatic": automatic})


def _flag(title: str, tip: str) -> Any:
    return field(default=False, metadata={"title": title, "tip": tip})


@dataclass(frozen=True)
class Advanced:
    """What a metallographer would not choose; the folded part of the widget is built from these fields."""

    exact: bool = _flag(
        "Impose my values exactly",
        "Take the expected values as exact, whatever the source, instead of weighing them against what the "
        "model sees.",
    )
    mode: str = _choice(
        "model",
        "Ratio acts",
        {
            "model": "as the model says",
            "matched": "on the mask",
            "conditioned": "in the network",
            "both": "on both",
        },
        "On the mask: the most fitting pixels are moved until the areas agree. In the network: the model looks "
        "again, knowing the ratio.",
    )
    smoothing_px: float = _number(
        0.0, "Smoothing", 0.0, 50.0, 0.5, " px", "Standard deviation of a Gaussian on the scores; 0 is off."
    )
    min_island_px: int = _number(
        0,
        "Smallest island",
        0,
        1_000_000,
        10,
        " px",
        "Islands of fewer pixels join their surroundings; 0 is off.",
    )
    invert: bool = _flag("Invert contrast", "The image is dark where the model's training images are bright.")
    device: str = _choice(
        "auto",
        "Device",
        {"auto": "fastest found", "cuda": "NVIDIA GPU (CUDA)", "mps": "Apple GPU (MPS)", "cpu": "CPU"},
        "Where the network runs.",
    )
    flips: str = _choice(
        "model",
        "Average over views",
        {"model": "as the model says", "on": "on", "off": "off"},
        "Segment four mirrored copies and average: a little better, four times slower.",
    )
    tile: int = _number(
        AUTOMATIC,
        "Tile side",
        256,
        8192,
        32,
        " px",
        "Largest side that goes through the network at once. Automatic: what suits the model and the device; for "
        "Segment Anything 512 on a CPU and 1024 on a GPU, for the others 1920.",
        automatic=True,
    )
    memory_mb: int = _number(
        4096,
        "Memory",
        256,
        1_000_000,
        256,
        " MB",
        "For features and scores; beyond it a scratch file is used.",
    )
    keep_embeddings: bool = _flag(
        "Keep embeddings on disk",
        "Keep what the network sees in an image, so that the image opens in a moment the next time, and with models "
        "that were fine-tuned from this one. About 100 MB for 1024 x 1024 px.",
    )
    embeddings_gb: float = _number(
        10.0,
        "At most",
        0.1,
        10_000.0,
        1.0,
        " GB",
        "What is kept on disk of all images; those used least recently go first.",
    )

    def options(self) -> Options:
        """What a session is made with."""
        flips = {"model": None, "on": True, "off": False}[self.flips]
        kept = self.embeddings_gb if self.keep_embeddings else None
        return Options(self.device, self.tile or None, flips, self.invert, self.memory_mb, kept)

    @property
    def request_mode(self) -> Mode | None:
        """Where the ratio acts; None: as the model says."""
        return None if self.mode == "model" else self.mode  # type: ignore[return-value]


def read_preferences() -> tuple[Advanced, str]:
    """Return the advanced options and the source that the user prefers, from napari's preferences.

    Without them (a napari before 0.9, or the plugin not registered) the defaults.
    """
    try:
        from napari.settings import get_plugin_settings

        stored = get_plugin_settings(PLUGIN).segment
    except (ImportError, KeyError, AttributeError):
        return Advanced(), DEFAULT_SOURCE
    known = {f.name for f in fields(Advanced)}
    names = ("device", "flips", "tile", "memory_mb", "keep_embeddings", "embeddings_gb")
    chosen = {name: getattr(stored, name) for name in names if name in known and hasattr(stored, name)}
    source = str(getattr(stored, "usual_source", DEFAULT_SOURCE))
    return Advanced(**chosen), source if source in {s.key for s in SOURCES} else DEFAULT_SOURCE
