"""What only studies need is the extra ``studies``: one sentence says so where a package of it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from phaseguide.errors import PhaseguideError

HOW_TO_INSTALL = 'pip install "napari-phaseguide[studies]"'

NAMES = {"segment_anything": "segment-anything"}
"""Of packages that are imported by another name than they are installed by."""


def need(*modules: str) -> None:
    """Raise `PhaseguideError` that names the packages of the extra that are missing, and how to get them."""
    missing = [NAMES.get(module, module) for module in modules if find_spec(module) is None]
    if missing:
        raise PhaseguideError(
            f"This study needs {' and '.join(missing)}, which only studies need and which "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Run: {HOW_TO_INSTALL}"
        )
