"""What decides the features of an image: its pixels, the encoder, the view of it, the precision, the libraries.

Two computations with the same keys give the same features, so one may stand for the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import nn

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


@dataclass(frozen=True)
class NetworkKeys:
    """Checksums of a network.

    Attributes
    ----------
    encoder : str
        Of all that decides the features: the encoder's weights and how it is built. Models that differ in
        guidance, decoder or phases alone have the same one.
    model : str
        Of all that decides the scores without a ratio.
    """

    encoder: str
    model: str


_known: WeakKeyDictionary[nn.Module, tuple[list[tuple[int, int, int]], NetworkKeys | None]] = (
    WeakKeyDictionary()
)


def network_keys(segmenter: nn.Module) -> NetworkKeys | None:
    """Return the checksums of a network: made once, and again only where its tensors have changed since.

    A backbone that shares its base weights says itself what its encoder is, by a method ``encoder_checksum``.

    Returns
    -------
    NetworkKeys or None
        None for a segmenter whose encoder cannot be told from the rest, or has random weights that nothing names.
    """
    # torch counts the changes of every tensor in place; one that was exchanged is another object, or lies elsewhere.
    tensors = [*segmenter.parameters(), *segmenter.buffers()]
    state = [(id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors]
    known = _known.get(segmenter)
    if known is None or known[0] != state:
        known = _known[segmenter] = (state, _make_keys(segmenter))
    return known[1]


def _make_keys(segmenter: Any) -> NetworkKeys | None:
    backbone = getattr(segmenter, "backbone", None)
    if not isinstance(backbone, nn.Module):
        return None
    told: Any = getattr(backbone, "encoder_checksum", None)
    encoder: Any = getattr(getattr(backbone, "net", None), "encoder", None)
    options: Any = backbone.options
    if told is not None and not options.adapter.get("base") and not options.adapter.get("merged"):
        return None  # a base drawn at random
    if told is None and encoder is None:
        return None  # a backbone of another kind
    weights = str(told()) if told is not None else tensors_sha256(encoder.state_dict())
    # The architecture too: dilated convolutions, for one, have the weights of plain ones.
    features = _sha256({"weights": weights, "options": options.to_dict()})
    others = {k: v for k, v in segmenter.state_dict().items() if not k.startswith(_ENCODER)}
    guidance = asdict(segmenter.guidance_options)
    return NetworkKeys(
        features, _sha256({"encoder": features, "guidance": guidance, "weights": tensors_sha256(others)})
    )


def image_checksum(pixels: NDArray[Any], limits: tuple[float, float], *, invert: bool) -> str:
    """Sha256 of an image, (H, W) or (H, W, C), as the network gets it; bands of rows are read one at a time.

    ``limits`` are those of `phaseguide.models.segmenter.intensity_limits`.
    """
    about = {"format": FORMAT, "shape": list(pixels.shape), "dtype": pixels.dtype.str, "limits": limits}
    digest = hashlib.sha256(json.dumps({**about, "invert": invert}).encode())
    row_bytes = max(1, pixels.nbytes // max(1, pixels.shape[0]))
    step = max(1, _BAND_BYTES // row_bytes)
    for top in range(0, pixels.shape[0], step):
        band = np.ascontiguousarray(pixels[top : top + step])
        digest.update(band.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def about_running(precision: str) -> About:
    """Say how a network runs; versions of the libraries too, since another one may compute otherwise."""
    return {"precision": precision, "libraries": {name: _version(name) for name in _LIBRARIES}}


def about_features(encoder: str, tile: Tile, view: ViewCard, running: About) -> About:
    """Say which features of an image these are; plain JSON values."""
    view_of = {"tile": _corners(tile), "view": [view.zoom, view.flip]}
    return {"kind": "features", "encoder": encoder, **view_of, **running}


def about_scores(
    model: str, tile: Tile, views: Sequence[ViewCard], running: About, unsure_below: float | None = None
) -> About:
    """Say which scores these are: without a ratio, mean of these views, everywhere or where the first is unsure."""
    mean_of: About = {"tile": _corners(tile), "views": [[view.zoom, view.flip] for view in views]}
    if unsure_below is not None:
        mean_of["unsure_below"] = unsure_below
    return {"kind": "scores", "model": model, **mean_of, **running}


def about_name(about: About) -> str:
    """Return a file name, without suffix, for what `about_features` or `about_scores` says."""
    return f"{about['kind']}-{_sha256(about)[:32]}"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _corners(tile: Tile) -> list[int]:
    return [tile.top, tile.left, tile.height, tile.width]


def _sha256(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
