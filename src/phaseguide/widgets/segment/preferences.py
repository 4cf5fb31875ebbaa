"""The forms behind the widget: advanced options, where a value comes from, and the user's preferences."""

from __future__ import annotations

from typing import Literal

from phaseguide.jobs.session_store import Options
from phaseguide.ratios.sources import DEFAULT_SOURCE, SOURCES
from phaseguide.segmentation.request import Mode
from phaseguide.settings import AUTOMATIC, Settings, setting

PLUGIN = "napari-phaseguide"


class Advanced(Settings):
    """What a metallographer would not choose; the folded part of the widget is built from these fields."""

    exact: bool = setting(
        False,
        "Impose my values exactly",
        "Take the expected values as exact, whatever the source, instead of weighing them against what the model sees.",
    )
    mode: Literal["model", "matched", "conditioned", "both"] = setting(
        "model",
        "Ratio acts",
        "On the mask: the most fitting pixels are moved until the areas agree. In the network: the model looks again, "
        "knowing the ratio.",
        words={
            "model": "as the model says",
            "matched": "on the mask",
            "conditioned": "in the network",
            "both": "on both",
        },
    )
    smoothing_px: float = setting(
        0.0,
        "Smoothing",
        "Standard deviation of a Gaussian on the scores; 0 is off.",
        low=0.0,
        high=50.0,
        step=0.5,
        decimals=2,
        unit=" px",
    )
    min_island_px: int = setting(
        0,
        "Smallest island",
        "Islands of fewer pixels join their surroundings; 0 is off.",
        low=0,
        high=1_000_000,
        step=10,
        unit=" px",
    )
    invert: bool = setting(
        False, "Invert contrast", "The image is dark where the model's training images are bright."
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = setting(
        "auto",
        "Device",
        "Where the network runs.",
        words={"auto": "fastest found", "cuda": "NVIDIA GPU (CUDA)", "mps": "Apple GPU (MPS)", "cpu": "CPU"},
    )
    flips: Literal["model", "on", "off"] = setting(
        "model",
        "Average over views",
        "Segment four mirrored copies and average: a little better, four times slower.",
        words={"model": "as the model says"},
    )
    tile: int = setting(
        AUTOMATIC,
        "Tile side",
        "Largest side that goes through the network at once. Automatic: what suits the model and the device; for "
        "Segment Anything 512 on a CPU and 1024 on a GPU, for the others 1920.",
        low=256,
        high=8192,
        step=32,
        unit=" px",
        automatic=True,
    )
    memory_mb: int = setting(
        4096,
        "Memory",
        "For features and scores; beyond it a scratch file is used.",
        low=256,
        high=1_000_000,
        step=256,
        unit=" MB",
    )
    keep_embeddings: bool = setting(
        False,
        "Keep embeddings on disk",
        "Keep what the network sees in an image, so that the image opens in a moment the next time, and with models "
        "that were fine-tuned from this one. About 100 MB for 1024 x 1024 px.",
    )
    embeddings_gb: float = setting(
        10.0,
        "At most",
        "What is kept on disk of all images; those used least recently go first.",
        low=0.1,
        high=10_000.0,
        decimals=2,
        unit=" GB",
    )

    def options(self) -> Options:
        """What a session is made with."""
        flips = {"model": None, "on": True, "off": False}[self.flips]
        kept = self.embeddings_gb if self.keep_embeddings else None
        return Options(self.device, self.tile or None, flips, self.invert, self.memory_mb, kept)

    @property
    def request_mode(self) -> Mode | None:
        """Where the ratio acts; None: as the model says."""
        return None if self.mode == "model" else self.mode


def read_preferences() -> tuple[Advanced, str]:
    """Return the advanced options and the source that the user prefers, from napari's preferences.

    Without them (a napari before 0.9, or the plugin not registered) the defaults.
    """
    try:
        from napari.settings import get_plugin_settings

        stored = get_plugin_settings(PLUGIN).segment
    except (ImportError, KeyError, AttributeError):
        return Advanced(), DEFAULT_SOURCE
    known = Advanced.model_fields
    names = ("device", "flips", "tile", "memory_mb", "keep_embeddings", "embeddings_gb")
    chosen = {name: getattr(stored, name) for name in names if name in known and hasattr(stored, name)}
    source = str(getattr(stored, "usual_source", DEFAULT_SOURCE))
    return Advanced(**chosen), source if source in {s.key for s in SOURCES} else DEFAULT_SOURCE
