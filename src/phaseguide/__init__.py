"""Phase Guide: segment the phases of a micrograph with the help of the phase ratio that you know.

The names of `__all__` are what a script needs. Each is loaded when it is first asked for, so that the import of the
package itself costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseguide.datasets.samples import open_sample
    from phaseguide.events import run_to_end
    from phaseguide.models.zoo import open_model
    from phaseguide.phases import PhaseScheme
    from phaseguide.ratios import parse_ratio
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

    __version__: str

__all__ = [
    "PhaseScheme",
    "Request",
    "Session",
    "__version__",
    "open_model",
    "open_sample",
    "parse_ratio",
    "run_to_end",
]

_HOMES = {
    "PhaseScheme": "phaseguide.phases",
    "Request": "phaseguide.segmentation.request",
    "Session": "phaseguide.segmentation.session",
    "open_model": "phaseguide.models.zoo",
    "open_sample": "phaseguide.datasets.samples",
    "parse_ratio": "phaseguide.ratios",
    "run_to_end": "phaseguide.events",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # reading package metadata costs more than all the rest of this import
        from importlib.metadata import version

        return version("napari-phaseguide")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
