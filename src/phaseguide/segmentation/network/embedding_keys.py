"""What decides the features of an image: its pixels, the encoder, the view of it, the precision, the libraries.

Two computations with the same keys give the same features, so one may stand for the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.models.card import ViewCard
from phaseguide.models.checksums import tensors_sha256
from phaseguide.segmentation.network.tiling import Tile

FORMAT = 1
"""To be raised when images are normalised or cut into views in another way."""

_LIBRARIES = (
    "torch", "timm", "segmentation-models-pytorch", "segment-anything", "peft", "napari-phaseguide",
)  # fmt: skip
_BAND_BYTES = 1 << 24
_ENCODER = ("backbone.net.encoder.", "backbone.encoder.")

About = dict[str, Any]

_encoders: WeakKeyDictionary[nn.Module, tuple[tuple[Any, ...], str]] = WeakKeyDictionary()
_models: WeakKeyDictionary[nn.Module, tuple[tuple[Any, ...], str]] = WeakKeyDictionary()


def image_checksum(pixels: NDArray[Any], limits: tuple[float, float], *, invert: bool) -> str:
    """Sha256 of an image as the network gets it.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, C)
        With the channels of the network. Anything that gives an array a band of rows at a time will do.
    limits : tuple of float
        See `phaseguide.models.segmenter.intensity_limits`.
    invert : bool
    """
    about = {"format": FORMAT, "shape": list(pixels.shape), "dtype": pixels.dtype.str, "limits": limits}
    digest = hashlib.sha256(json.dumps({**about, "invert": invert}).encode())
    row_bytes = max(1, pixels.nbytes // max(1, pixels.shape[0]))
    step = max(1, _BAND_BYTES // row_bytes)
    for top in range(0, pixels.shape[0], step):
        band = np.ascontiguousarray(pixels[top : top + step])
        digest.update(band.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def encoder_checksum(segmenter: nn.Module) -> str | None:
    """Sha256 of all that decides the features: the encoder's weights and how it is built.

    Models that differ in guidance, decoder or phases alone have the same one. A backbone that shares its base
    weights says it itself, by a method ``encoder_checksum``.

    Returns
    -------
    str or None
        None for a segmenter whose encoder cannot be told from the rest, or has random weights that nothing names.
    """
    backbone: Any = getattr(segmenter, "backbone", None)
    if not isinstance(backbone, nn.Module):
        return None
    state = _state(backbone)
    known = _encoders.get(backbone)
    if known is None or known[0] != state:
        told: Any = getattr(backbone, "encoder_checksum", None)
        encoder: Any = None if told is not None else getattr(getattr(backbone, "net", None), "encoder", None)
        options: Any = backbone.options
        adapter = options.adapter
        nameless = told is not None and not adapter.get("base") and not adapter.get("merged")
        if nameless or (told is None and encoder is None):
            return None  # a base drawn at random, or a backbone of another kind
        weights = str(told()) if told is not None else tensors_sha256(encoder.state_dict())
        # The architecture too: dilated convolutions, for one, have the weights of plain ones.
        known = (state, _sha256({"weights": weights, "options": options.to_dict()}))
        _encoders[backbone] = known
    return known[1]


def model_checksum(segmenter: nn.Module) -> str | None:
    """Sha256 of all that decides the scores without a ratio; None as for `encoder_checksum`."""
    encoder = encoder_checksum(segmenter)
    if encoder is None:
        return None
    state = _state(segmenter)
    known = _models.get(segmenter)
    if known is None or known[0] != state:
        guidance = asdict(segmenter.guidance_options)  # type: ignore[call-overload]
        others = {k: v for k, v in segmenter.state_dict().items() if not k.startswith(_ENCODER)}
        about = {"encoder": encoder, "guidance": guidance, "weights": tensors_sha256(others)}
        known = (state, _sha256(about))
        _models[segmenter] = known
    return known[1]


def about_features(encoder: str, tile: Tile, view: ViewCard, precision: str) -> About:
    """Say which features of an image these are; plain JSON values."""
    return {
        "kind": "features",
        "encoder": encoder,
        "tile": _corners(tile),
        "view": [view.zoom, view.flip],
        "precision": precision,
        "libraries": libraries(),
    }


def about_scores(model: str, tile: Tile, views: Sequence[ViewCard], precision: str) -> About:
    """Say which scores of an image these are: without a ratio, mean of these views."""
    return {
        "kind": "scores",
        "model": model,
        "tile": _corners(tile),
        "views": [[view.zoom, view.flip] for view in views],
        "precision": precision,
        "libraries": libraries(),
    }


def about_name(about: About) -> str:
    """Return a file name, without suffix, for what `about_features` or `about_scores` says."""
    return f"{about['kind']}-{_sha256(about)[:32]}"


def libraries() -> dict[str, str]:
    """Versions of the libraries that the network is built from; another one may compute otherwise."""
    versions: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return versions


def _corners(tile: Tile) -> list[int]:
    return [tile.top, tile.left, tile.height, tile.width]


def _sha256(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _state(module: nn.Module) -> tuple[Any, ...]:
    """Tell whether a module is as it was: torch counts the changes of every tensor in place."""
    return tuple(_mark(tensor) for part in (module.parameters(), module.buffers()) for tensor in part)


def _mark(tensor: Tensor) -> tuple[int, int, int]:
    return id(tensor), 0 if tensor.is_inference() else tensor._version, tensor.data_ptr()
