"""Names that files of earlier versions have for what is called otherwise today. Without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_OPTIONS = {
    "use_spatial_attention": "use_spatial_awareness",
    "use_feature_aggregation": "use_feature_aggregator",
}
_MODULES = {"feature_encoder": "feature_extractor", "spatial_attention": "spatial_awareness"}
_GATES = "gates.weight"


def current_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a guidance by the names of today."""
    if kind != "plm":
        return dict(options)
    return {_OPTIONS.get(name, name): value for name, value in options.items()}


def current_tensors(names: Iterable[str]) -> dict[str, str]:
    """Return for each tensor of a model its name of today.

    Earlier versions of the Phase Learning Module had its gates, and the convolution behind them, beside each other.
    """
    names = list(names)
    gated = {name.removesuffix(_GATES) for name in names if name.endswith(f".{_GATES}") or name == _GATES}
    gated = {prefix for prefix in gated if not prefix.endswith("feature_aggregator.")}
    return {name: _current(name, gated) for name in names}


def _current(name: str, gated: set[str]) -> str:
    parts = name.split(".")
    if "backbone" in parts:
        return name
    name = ".".join(_MODULES.get(part, part) for part in parts)
    for prefix in gated:
        for old, new in (("gates.", "gates."), ("project.", "mix.")):
            if name.startswith(prefix + old):
                return f"{prefix}feature_aggregator.{new}{name.removeprefix(prefix + old)}"
    return name
