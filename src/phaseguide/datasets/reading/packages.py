"""What only some layouts need is the extra ``data``: one sentence says so where a package of it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from phaseguide.errors import DatasetError

HOW_TO_INSTALL = 'pip install "napari-phaseguide[data]"'


def need(package: str, what: str) -> None:
    """Raise `DatasetError` where a package is not installed; ``what`` it reads begins the sentence."""
    if find_spec(package) is None:
        raise DatasetError(
            f"{what} needs the package {package}, which is not installed. Run: {HOW_TO_INSTALL}"
        )
