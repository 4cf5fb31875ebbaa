"""One pass of an encoder that hands over the map of every block as it comes, and can be left between two blocks."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.models.backbones.base import Features

T = TypeVar("T")
R = TypeVar("R")

_HALF_LIMIT = 6e4
_LOOK_S = 0.1
_SKEW = 0.15


@dataclass(frozen=True)
class TokenMap:
    """A map of tokens, cut to what holds something of the image.

    Attributes
    ----------
    tokens : ndarray, shape (h, w, C)
        float16, or float32 where float16 does not reach.
    stride : tuple of float
        Pixels of the image to a token, down and across.
    """

    tokens: NDArray[Any]
    stride: tuple[float, float]


@dataclass(frozen=True)
class Block:
    """What one block of the encoder puts out; ``map`` is None where that is no map of the image."""

    name: str
    map: TokenMap | None


@dataclass(frozen=True)
class Encoded:
    """The end of a pass: what the decoder gets, and the same as maps from fine to coarse."""

    features: Features
    output: list[TokenMap]


def inner_pass(
    backbone: Any, image: Tensor, shown: tuple[int, int], *, adapters: bool = True
) -> Generator[Block, None, Encoded]:
    """Encode an image and yield every block in order.

    A block waits until the one before it was taken, so only one is in memory at a time. Closing the
    generator ends the pass after the block under way.

    Parameters
    ----------
    backbone : Backbone
        In evaluation mode. With ``inner_modules()``, those modules are the blocks; without, the maps of
        an encoder of segmentation-models-pytorch are.
    image : Tensor, shape (1, C, H, W)
        Normalised, on the device of the backbone, H and W multiples of its stride.
    shown : tuple of int
        Rows and columns of the image that are no padding; the maps are cut to these.
    adapters : bool
        False encodes without the adapters of a backbone that has some.

    Returns
    -------
    Encoded
        The generator's return value.
    """
    size = (int(image.shape[-2]), int(image.shape[-1]))
    modules = inner_modules(backbone)

    def run(hand: Callable[[Block], None]) -> Encoded:
        seen: set[str] = set()

        def hook_of(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, _: Any, output: Any) -> None:
                if name not in seen:
                    seen.add(name)
                    hand(Block(name, token_map(output, module, size, shown)))

            return hook

        handles = [module.register_forward_hook(hook_of(name)) for name, module in modules]
        try:
            with torch.no_grad(), _without_adapters(backbone, adapters):
                features: Features = backbone.encode(image)
        finally:
            for handle in handles:
                handle.remove()
        # The first map of an encoder of segmentation-models-pytorch is the image, and others may be empty.
        maps = features.maps[1:] if len(features.maps) > len(backbone.channels) else features.maps
        cut = [token_map(m, None, size, shown) for m in maps if m.shape[1]]
        output = [one for one in cut if one is not None]
        if not modules:
            for number, one in enumerate(output, start=1):
                hand(Block(f"stage {number}", one))
        return Encoded(features, output)

    return (yield from handed_over(run))


def inner_modules(backbone: Any) -> list[tuple[str, nn.Module]]:
    """Return the named blocks of a backbone, in order; empty where only its maps are known."""
    offered = getattr(backbone, "inner_modules", None)
    return [] if offered is None else list(offered())


def has_adapters(backbone: Any) -> bool:
    """Whether a backbone can be run without what it has learnt, as its base."""
    return hasattr(backbone, "without_adapters") and bool(backbone.options.adapter.get("rank"))


def block_count(backbone: Any) -> int:
    """How many blocks `inner_pass` will yield."""
    return len(inner_modules(backbone)) or len(backbone.channels)


def token_map(
    output: Any, module: nn.Module | None, size: tuple[int, int], shown: tuple[int, int]
) -> TokenMap | None:
    """Bring what a block puts out into the shape (h, w, C); None where it is no map of the image.

    Parameters
    ----------
    output : Tensor, or a sequence whose last tensor counts
        (1, C, h, w) as convolutions have it, (1, h, w, C) as transformers have it, or (1, N, C).
    module : Module or None
        Whose output it is; settles what the shape leaves open. None: a map as convolutions have it.
    size, shown : tuple of int
        Height and width of the image in px, with and without padding.
    """
    if isinstance(output, list | tuple):
        tensors = [one for one in output if isinstance(one, Tensor)]
        output = tensors[-1] if tensors else None
    if not isinstance(output, Tensor) or output.ndim not in (3, 4) or not output.is_floating_point():
        return None
    tensor = _channels_last(output[0].detach(), module, size)
    if tensor is None:
        return None
    rows, columns = (int(n) for n in tensor.shape[:2])
    stride = (size[0] / rows, size[1] / columns)
    tensor = tensor[: math.ceil(shown[0] / stride[0]), : math.ceil(shown[1] / stride[1])].float()
    # Half the memory where the numbers allow it: one encoder is kept until the other has been looked at.
    fits = float(tensor.abs().max()) < _HALF_LIMIT
    tokens = (tensor.half() if fits else tensor).contiguous().cpu().numpy()
    return TokenMap(tokens, stride)


def _channels_last(tensor: Tensor, module: nn.Module | None, size: tuple[int, int]) -> Tensor | None:
    """One sample as (h, w, C)."""
    if module is None:
        return tensor.permute(1, 2, 0)
    if tensor.ndim == 2:
        grid = _grid_of(int(tensor.shape[0]), size)
        return None if grid is None else tensor[-grid[0] * grid[1] :].reshape(*grid, -1)
    first, last = _covers(tuple(tensor.shape[1:]), size), _covers(tuple(tensor.shape[:2]), size)
    if last and (not first or _has_layer_norm(module, int(tensor.shape[-1]))):
        return tensor
    return tensor.permute(1, 2, 0) if first else None


def handed_over(run: Callable[[Callable[[T], None]], R]) -> Generator[T, None, R]:
    """Run a function in a thread, and yield what it hands over.

    The function gets a callable that takes one item and returns when the item before was taken. When
    the generator is closed, that callable raises, and the thread has ended when the closing returns.
    """
    items: queue.Queue[T | _End[R]] = queue.Queue(maxsize=1)
    left = threading.Event()

    def put(item: T | _End[R]) -> None:
        while not left.is_set():
            try:
                items.put(item, timeout=_LOOK_S)
                return
            except queue.Full:
                continue
        raise _LeftError

    def work() -> None:
        end: _End[R]
        try:
            end = _End(run(put), None)
        except _LeftError:
            return
        except Exception as error:
            end = _End(None, error)
        try:
            put(end)
        except _LeftError:
            return

    thread = threading.Thread(target=work, name="inner-pass", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return item.value  # type: ignore[return-value]
            yield item
    finally:
        left.set()
        thread.join()


@dataclass(frozen=True)
class _End(Generic[R]):
    value: R | None
    error: Exception | None


class _LeftError(Exception):
    """Nobody waits for the next item any more."""


def _without_adapters(backbone: Any, adapters: bool) -> AbstractContextManager[Any]:
    off: AbstractContextManager[Any] = nullcontext() if adapters else backbone.without_adapters()
    return off


def _covers(grid: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether a grid may be the image, in about one stride for rows and columns."""
    down, across = (whole / cells for whole, cells in zip(size, grid, strict=True))
    return down >= 1 and across >= 1 and abs(math.log(down / across)) < _SKEW


def _grid_of(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of a list of tokens, of which some at the front may stand for the whole image."""
    for stride in range(1, min(size) + 1):
        if size[0] % stride == 0 and size[1] % stride == 0:
            rows, columns = size[0] // stride, size[1] // stride
            if 0 <= count - rows * columns <= min(8, rows * columns - 1):
                return rows, columns
    return None


def _has_layer_norm(module: nn.Module | None, channels: int) -> bool:
    """Whether a block normalises over the last axis, as transformers do."""
    norms = [] if module is None else [m for m in module.modules() if isinstance(m, nn.LayerNorm)]
    return any(norm.normalized_shape == (channels,) for norm in norms)
