"""A network without a ratio as an ONNX graph, for images of any size."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

IMAGE, SCORES = "image", "scores"
"""Names of what goes in, float32 (1, C, H, W), and what comes out, float32 (1, K, H, W)."""

_SIZE = {2: "height", 3: "width"}


def export_graph(segmenter: nn.Module, channels: int, stride: int) -> bytes:
    """Return a segmenter, in evaluation mode on the CPU, as an ONNX file; it is told no ratio.

    Height and width are multiples of the stride, as `phaseguide.models.backbones.base.pad_to_stride` makes them. An
    operation that ONNX does not know raises what torch likes to raise.
    """
    image = torch.zeros(1, channels, 2 * stride, 3 * stride)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        path = Path(folder) / "network.onnx"
        # That sizes become constants does not matter: where they do, the scores are compared at another size.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            segmenter,
            (image,),
            path,
            input_names=[IMAGE],
            output_names=[SCORES],
            dynamic_axes={IMAGE: _SIZE, SCORES: _SIZE},
            opset_version=18,
            dynamo=False,  # the newer exporter takes minutes where this one takes a second
        )
        return path.read_bytes()
