"""Phase Guide: segment the phases of a micrograph with the help of the phase ratio that you know."""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Looked up on demand: reading package metadata costs more than all the rest of this import.
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-phaseguide")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
