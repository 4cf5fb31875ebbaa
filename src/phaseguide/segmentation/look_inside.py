"""Kept for one version: the module is `phaseguide.segmentation.inside.views` now."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

NEW = "phaseguide.segmentation.inside.views"


def __getattr__(name: str) -> Any:
    value = getattr(import_module(NEW), name)
    warnings.warn(
        f"{__name__} is {NEW} now; the old name goes in the next version.", DeprecationWarning, stacklevel=2
    )
    return value
