"""ONNX Runtime in the place of torch: on the CPU, without a ratio, and only where it gives the same labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice, Progress
from phaseguide.models.backbones.base import pad_to_stride
from phaseguide.models.backbones.split import SplitBackbone
from phaseguide.models.onnx_graph import IMAGE, SCORES, export_graph
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.network.device import Device
from phaseguide.segmentation.network.embedding_keys import network_keys
from phaseguide.segmentation.network.graph_files import usual_graph_folder

AGREE = 0.9995
"""Share of pixels whose labels must be those of torch."""

SMALLEST_PX = 512 * 512
"""Pixels of an image from which on a graph is made without being asked for; smaller ones are soon done."""

SAMPLE_PX = 256
"""Side of the part of the image on which both are compared."""

GETTING_FAST = "Getting ONNX Runtime ready"
HOW_TO_INSTALL = 'pip install "napari-phaseguide[fast-cpu]"'

_FORMAT = 1  # to be raised when graphs are written in another way


class OnnxError(PhaseguideError):
    """ONNX Runtime could not run a network; torch goes on."""


class OnnxNetwork:
    """A graph of a network, loaded; safe to be used by several threads at once."""

    def __init__(self, graph: bytes, threads: int, stride: int) -> None:
        import onnxruntime

        self._stride = stride
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = False  # it plans for one size of image, and takes twice the memory
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._last = onnxruntime.RunOptions()
        self._last.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.name = f"onnxruntime {onnxruntime.__version__}"

    def scores(self, image: Tensor, options: Any = None) -> Tensor:
        """Return logits, (1, K, H, W), of a normalised image, (1, C, H, W); `OnnxError` where that fails."""
        height, width = image.shape[-2:]
        pixels = np.ascontiguousarray(pad_to_stride(image, self._stride).numpy())
        try:
            found = self._session.run([SCORES], {IMAGE: pixels}, options)[0]
        except Exception as error:  # its own classes derive from several
            raise OnnxError(_not_run(error)) from error
        if found.shape[-2:] != pixels.shape[-2:]:
            raise OnnxError(_not_run("its scores have another size than the image"))
        return torch.from_numpy(found)[..., :height, :width]

    def release(self, channels: int) -> None:
        """Give the memory back that it keeps for the next image."""
        with suppress(OnnxError):
            self.scores(torch.zeros(1, channels, self._stride, self._stride), self._last)


_Made = tuple[tuple[str, int], OnnxNetwork | None, str]
_made: WeakKeyDictionary[GuidedSegmenter, _Made] = WeakKeyDictionary()
"""For which weights and threads; then the network, or why there is none."""


def onnx_network(
    segmenter: GuidedSegmenter,
    wish: str,
    device: Device,
    *,
    keeps_features: bool,
    shape: tuple[int, ...],
    sample: Callable[[], Tensor],
) -> Generator[Progress | Notice, None, OnnxNetwork | None]:
    """Return a network in ONNX Runtime, once it has given torch's labels; None where torch is to go on.

    Parameters
    ----------
    segmenter : GuidedSegmenter
        In evaluation mode, on ``device``.
    wish : {"auto", "torch", "onnx"}
        Automatic is silent where ONNX Runtime cannot be used, and leaves small images to torch.
    device : Device
    keeps_features : bool
        Whether features are kept on disk: then torch makes them.
    shape : tuple of int
        Height and width of the image, px.
    sample : callable
        Returns a part of the image, about `SAMPLE_PX` wide, as the network gets it.
    """
    if wish == "torch" or (wish == "auto" and shape[0] * shape[1] < SMALLEST_PX):
        return None
    keys = network_keys(segmenter)
    reason = _why_not(segmenter, device, keeps_features)
    if reason or keys is None:
        if wish == "onnx":
            yield Notice(
                f"ONNX Runtime was asked for, but {reason or 'it does not know such a network'}. Torch is used."
            )
        return None
    state = (keys.model, torch.get_num_threads())
    known = _made.get(segmenter)
    if known is None or known[0] != state:
        network, reason = yield from _make(segmenter, state, sample)
        known = _made[segmenter] = (state, network, reason)
        if reason:
            yield Notice(reason)
    elif wish == "onnx" and known[2]:
        yield Notice(known[2])
    return known[1]


def _why_not(segmenter: GuidedSegmenter, device: Device, keeps_features: bool) -> str:
    """Why ONNX Runtime cannot be used; empty where it can."""
    if device.kind != "cpu":
        return f"it runs on the CPU alone, and the device is {device.name}"
    if not isinstance(segmenter.backbone, SplitBackbone):
        return "it does not run models of Segment Anything"
    if keeps_features:
        return "embeddings are kept on disk, and those are torch's"
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        return (
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: {HOW_TO_INSTALL}"
        )
    return ""


def _make(
    segmenter: GuidedSegmenter, state: tuple[str, int], sample: Callable[[], Tensor]
) -> Generator[Progress | Notice, None, tuple[OnnxNetwork | None, str]]:
    """Load the graph, or write it down, and compare; returns the network, or why there is none."""
    folder, key, stride = usual_graph_folder(), _key(state[0]), segmenter.backbone.stride
    yield Progress(GETTING_FAST, 0, 2)
    try:
        graph = folder.read(key)
        if graph is None:
            graph = export_graph(segmenter, segmenter.in_channels, stride)
            try:
                folder.write(key, graph)
            except PhaseguideError as error:
                yield Notice(str(error))
        yield Progress(GETTING_FAST, 1, 2)
        network = OnnxNetwork(graph, state[1], stride)
        same = _agreement(segmenter, network, sample())
    except OnnxError as error:
        return None, str(error)
    except Exception as error:  # what an exporter or a loader raises is not foreseen
        return None, _not_run(error)
    if same < AGREE:
        return None, (
            f"ONNX Runtime gives {100 * (1 - same):.2f} % of the pixels another phase than torch, more than "
            f"{100 * (1 - AGREE):.2f} %. Torch is used."
        )
    return network, ""


def _agreement(segmenter: GuidedSegmenter, network: OnnxNetwork, image: Tensor) -> float:
    """Share of pixels with the same likeliest phase."""
    with torch.inference_mode():
        return float((segmenter(image).argmax(1) == network.scores(image).argmax(1)).float().mean())


def _key(model: str) -> str:
    return hashlib.sha256(f"{_FORMAT} {torch.__version__} {model}".encode()).hexdigest()


def _not_run(error: Exception | str) -> str:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return f"ONNX Runtime cannot run this model here ({told}). Torch is used."
