"""Batch normalisation folded into the convolutions before it: the same scores to rounding, in fewer passes over memory.

In evaluation mode a batch normalisation is a factor and an offset for each channel, which the weights of the
convolution can take in (Jacob et al. 2018, "Quantization and training of neural networks", section 3.2). Which
convolution stands before which normalisation is watched while an image goes through the network, not guessed from
names.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from phaseguide.models.segmenter import GuidedSegmenter

ROUNDING = 1e-3
"""Scores that differ by more, in units of the largest, are another network's: then nothing is folded."""

_SIDE = 64  # px of the image that is sent through

_State = list[tuple[int, int, int]]
_known: WeakKeyDictionary[nn.Module, tuple[_State, GuidedSegmenter | None]] = WeakKeyDictionary()
"""None for a network that stays as it is; one that held itself would never go."""


def folded(segmenter: GuidedSegmenter) -> GuidedSegmenter:
    """Return a copy of a segmenter, in evaluation mode, with its normalisations folded in; kept until it learns.

    The segmenter itself where there is nothing to fold, or where it would not give the same scores.
    """
    # torch counts the changes of every tensor in place; one that was exchanged is another object, or lies elsewhere.
    tensors = [*segmenter.parameters(), *segmenter.buffers()]
    state = [(id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors]
    known = _known.get(segmenter)
    if known is None or known[0] != state:
        known = _known[segmenter] = (state, _fold(segmenter))
    return known[1] or segmenter


@torch.no_grad()
def _fold(segmenter: GuidedSegmenter) -> GuidedSegmenter | None:
    if not any(isinstance(module, nn.BatchNorm2d) for module in segmenter.modules()):
        return None
    lean = copy.deepcopy(segmenter).eval()
    device = next(lean.parameters()).device
    waves = torch.linspace(-1, 1, _SIDE, device=device)
    image = torch.sin(9 * waves)[:, None] * torch.cos(7 * waves)
    image = image.expand(1, lean.in_channels, _SIDE, _SIDE).contiguous(memory_format=torch.channels_last)
    before = lean(image)
    names = {module: name for name, module in lean.named_modules()}
    for convolution, norm in _pairs(lean, image):
        merged = nn.utils.fusion.fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.weight, convolution.bias = merged
        # That of timm has its activation inside.
        parent, _, name = names[norm].rpartition(".")
        setattr(lean.get_submodule(parent), name, getattr(norm, "act", nn.Identity()))
    lean.to(memory_format=torch.channels_last)
    same = (lean(image) - before).abs().max() <= ROUNDING * before.abs().max()
    return lean.requires_grad_(False) if bool(same) else None


def _pairs(network: nn.Module, image: Tensor) -> list[tuple[nn.Conv2d, Any]]:
    """Convolutions whose result goes straight into a batch normalisation, both used once."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    found: list[tuple[nn.Conv2d, Any]] = []
    used: Counter[nn.Module] = Counter()

    def after(module: Any, _: Any, result: Tensor) -> None:
        made[id(result)] = (module, result)  # held, so that no other tensor gets its id
        used[module] += 1

    def ahead(module: Any, inputs: tuple[Tensor, ...]) -> None:
        used[module] += 1
        source = made.get(id(inputs[0]))
        if source is not None and module.track_running_stats and module.affine:
            found.append((source[0], module))

    hooks = [m.register_forward_hook(after) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(ahead) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in found if all(used[one] == 1 for one in pair)]
