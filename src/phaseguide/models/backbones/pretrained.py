"""What an encoder of segmentation-models-pytorch starts from: ImageNet, MicroNet, or a file of somebody's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress, run_to_end
from phaseguide.models.backbones.imagenet import imagenet_weights, new_encoder
from phaseguide.models.backbones.micronet import ENCODERS, check_offered, fetching
from phaseguide.models.foreign_weights import read_weights
from phaseguide.option_values import ENCODER_WEIGHTS, IMAGENET, NO_WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

    from phaseguide.models.backbones.base import BackboneOptions


def check_weights(encoder: str, weights: str) -> None:
    """Make sure, without reading any, that weights can be had: a name of `ENCODER_WEIGHTS`, or a file.

    Raises
    ------
    ModelError
        Neither, or none of this encoder.
    """
    if weights in ENCODERS:
        check_offered(encoder, weights)
    elif weights not in ENCODER_WEIGHTS and not Path(weights).expanduser().is_file():
        raise ModelError(
            f"encoder_weights is {weights!r}: neither {', '.join(ENCODER_WEIGHTS)} nor a file that is there. Correct "
            "it."
        )


def bringing(encoder: str, weights: str) -> Iterator[Progress | Notice]:
    """Download what is missing of MicroNet, so that loading it needs no network; errors as `fetching`."""
    if weights in ENCODERS:
        for event in fetching(encoder, weights):
            if not isinstance(event, Finished):
                yield event


def load_encoder_weights(module: Any, options: BackboneOptions, weights: str) -> None:
    """Start an encoder, in place, from a name of `ENCODER_WEIGHTS` or a file of its state dict; nothing for ``none``.

    What is not on this computer is downloaded. For one input channel the weights of the first convolution are summed
    over RGB, as if grey were shown three times.

    Raises
    ------
    ModelError
        There are no such weights for the encoder or the channels, they cannot be had, or a file is of another encoder.
    """
    import torch

    if weights == NO_WEIGHTS:
        return
    if options.in_channels not in (1, 3):
        raise ModelError(f"Pretrained weights fit images of 1 or 3 channels, not {options.in_channels}.")
    depth = int(options.decoder.get("encoder_depth", 5))
    check_weights(options.encoder, weights)
    with torch.random.fork_rng(devices=[]):
        if weights == IMAGENET:
            state = imagenet_weights(options.encoder, depth)
        else:
            file = run_to_end(fetching(options.encoder, weights)) if weights in ENCODERS else weights
            state = _of_file(Path(file).expanduser(), options.encoder, depth)
    for name, own in module.state_dict().items():
        if own.dim() == 4 and own.shape[1] == 1 and state[name].shape[1] == 3:
            state[name] = state[name].sum(1, keepdim=True)
    # Not the encoder's own way, which renames what older files call otherwise: these have the names of today.
    torch.nn.Module.load_state_dict(module, state)


def _of_file(path: Path, encoder: str, depth: int) -> dict[str, Tensor]:
    """Weights of an encoder for RGB from the file of a state dict, of which the library leaves the classifier out."""
    from torch import Tensor

    read = read_weights(path)
    if not isinstance(read, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in read.items()
    ):
        raise ModelError(
            f"{path}: holds no state dict, the tensors of a network by name. Save that of the encoder alone, with "
            "torch.save(encoder.state_dict(), FILE)."
        )
    whole = new_encoder(encoder, depth)
    try:
        whole.load_state_dict(dict(read))
    except (RuntimeError, LookupError) as error:
        lines = str(error).splitlines()
        reason = (lines[1] if len(lines) > 1 else lines[0]).strip()[:160]
        raise ModelError(
            f"{path}: holds weights of another network than the encoder {encoder} for colour images ({reason}...). "
            "Choose its file, or the encoder that the file is of."
        ) from error
    state: dict[str, Tensor] = whole.state_dict()
    return state
