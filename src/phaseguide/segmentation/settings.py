"""The one list of parameters of a segmentation: dock, napari's preferences and command line read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from phaseguide.option_values import EMBEDDINGS_GB, TILE
from phaseguide.settings import AUTOMATIC, Settings, setting

if TYPE_CHECKING:
    from phaseguide.segmentation.request import Mode


class Advanced(Settings):
    """What a metallographer would not choose: what the folded part of the widget, napari's preferences and the command
    line say of a number stands here, once.
    """

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
    runtime: Literal["auto", "torch", "onnx"] = setting(
        "auto",
        "Runtime on a CPU",
        "What runs the network before it knows a ratio. ONNX Runtime (extra fast-cpu) takes about two "
        "thirds of the time, and is used only where its labels agree with those of torch. "
        "Automatic: for images from 512 x 512 px.",
        words={"auto": "fastest found", "torch": "torch", "onnx": "ONNX Runtime"},
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
        low=TILE[0],
        high=TILE[1],
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
        EMBEDDINGS_GB,
        "At most",
        "What is kept on disk of all images; those used least recently go first.",
        low=0.1,
        high=10_000.0,
        decimals=2,
        unit=" GB",
    )

    @property
    def request_mode(self) -> Mode | None:
        """Where the ratio acts; None: as the model says."""
        return None if self.mode == "model" else self.mode
