"""What a run has to itself: its dropout and other draws, and how many threads compute. Torch shares both otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_ONE_A_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class OwnDropout(nn.Module):
    """Set elements, whole channels or whole samples to zero with probability ``p`` while training.

    They are drawn for the first ``axes`` axes: 2 drops channels, 1 drops samples (stochastic depth), None elements; by
    a generator on the CPU.
    """

    def __init__(self, p: float, axes: int | None, generator: torch.Generator) -> None:
        super().__init__()
        self.p, self.axes, self.generator = p, axes, generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop while training."""
        if not self.training or self.p == 0:
            return x
        drawn = x.ndim if self.axes is None else self.axes
        shape = (*x.shape[:drawn], *(1 for _ in x.shape[drawn:]))
        kept = torch.rand(shape, generator=self.generator) >= self.p
        # All of it may be dropped, as torch does with p = 1.
        return x * kept.to(x.device, x.dtype) / max(1 - self.p, torch.finfo(x.dtype).tiny)


def own_dropout(model: nn.Module, generator: torch.Generator) -> None:
    """Put `OwnDropout` in the place of torch's and timm's; names and weights of the model stay what they are."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            own = _own(child, generator)
            if own is not None:
                setattr(module, name, own)


def _own(layer: nn.Module, generator: torch.Generator) -> OwnDropout | None:
    from timm.layers.drop import DropPath

    if isinstance(layer, nn.Dropout):
        return OwnDropout(layer.p, None, generator)
    if isinstance(layer, _ONE_A_CHANNEL):
        return OwnDropout(layer.p, 2, generator)
    if isinstance(layer, DropPath) and layer.scale_by_keep:
        return OwnDropout(layer.drop_prob, 1, generator)
    return None


@contextmanager
def own_draws(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Let what a network draws from the process depend on the run alone; afterwards the process is as it was.

    `own_dropout` takes care of layers. Some encoders draw inside a function instead, from torch's own generator. The
    state of the generator, on the CPU, decides, and stays as it is.
    """
    number = int(torch.randint(2**62, (1,), generator=generator.clone_state()))
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(number)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(number)
        yield


@contextmanager
def own_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads (0: as it is set); afterwards the process is as it was."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
