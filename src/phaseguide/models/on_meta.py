"""Building networks without memory for their weights: only names, shapes and types of the tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _StepsAreNumbers(TorchFunctionMode):
    """Lets constructors read the few numbers that they take from `torch.linspace`, such as rates of dropout."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


@contextmanager
def on_meta() -> Iterator[None]:
    """Make tensors that are created in the body have a shape and a type, and no numbers."""
    with torch.device("meta"), _StepsAreNumbers():
        yield
