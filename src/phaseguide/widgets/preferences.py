"""The forms behind the widget: advanced options, where a value comes from, and the user's preferences."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from phaseguide.ratios.sources import DEFAULT_SOURCE, SOURCES
from phaseguide.ratios.sources import Source as Source  # for the widgets, which take all of this from here
from phaseguide.segmentation.request import Mode
from phaseguide.segmentation.tiling import DEFAULT_TILE
from phaseguide.widgets.session_store import Options

PLUGIN = "napari-phaseguide"


def _choice(default: str, title: str, choices: dict[str, str], tip: str) -> Any:
    return field(default=default, metadata={"title": title, "choices": choices, "tip": tip})


def _number(default: float, title: str, low: float, high: float, step: float, unit: str, tip: str) -> Any:
    return field(
        default=default,
        metadata={"title": title, "low": low, "high": high, "step": step, "unit": unit, "tip": tip},
    )


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
        DEFAULT_TILE, "Tile side", 256, 8192, 32, " px", "Largest side that goes through the network at once."
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

    def options(self) -> Options:
        """What a session is made with."""
        flips = {"model": None, "on": True, "off": False}[self.flips]
        return Options(self.device, self.tile, flips, self.invert, self.memory_mb)

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
    names = {f.name for f in fields(Advanced)}
    chosen = {
        name: getattr(stored, name) for name in ("device", "flips", "tile", "memory_mb") if name in names
    }
    source = str(getattr(stored, "usual_source", DEFAULT_SOURCE))
    return Advanced(**chosen), source if source in {s.key for s in SOURCES} else DEFAULT_SOURCE
