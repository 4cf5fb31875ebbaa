"""Strokes follow the phases: colours and numbers of edits layers change with the phases of the model to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import SchemeError
from phaseguide.labels import relabelled
from phaseguide.phase_edits import taken_back
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.maps import rewrite_labels

if TYPE_CHECKING:
    from napari.layers import Labels


class EditsFollower:
    """Keeps the edits layers of the open images in step with the phases editor.

    Layers of a project's fields are left to the project, which rewrites its files too.

    Parameters
    ----------
    edits : callable
        Returns the edits layers.
    """

    def __init__(self, edits: Callable[[], list[Labels]]) -> None:
        self._edits = edits
        self._scheme: PhaseScheme | None = None
        self._steps: list[list[tuple[Labels, NDArray[np.uint8], NDArray[np.uint8]]]] = []

    def begin(self, scheme: PhaseScheme | None) -> None:
        """Begin with these phases; no layer is touched."""
        self._scheme = scheme
        self._steps.clear()

    def relabel(self, relabel: dict[int, int]) -> None:
        """Give the strokes the numbers of the phases as they are now."""
        step = []
        for layer in self._own():
            before = np.asarray(layer.data, dtype=np.uint8).copy()
            after = relabelled(before, relabel)
            rewrite_labels(layer, after, None)
            step.append((layer, before, after))
        self._steps.append(step)

    def take_back(self, relabel: dict[int, int]) -> None:
        """Give the strokes the numbers from before the last `relabel`."""
        for layer, before, after in self._steps.pop() if self._steps else ():
            now = np.asarray(layer.data, dtype=np.uint8)
            rewrite_labels(layer, taken_back(now, after, before, relabel), None)

    def apply_scheme(self, scheme: PhaseScheme | None) -> None:
        """Give the layers the names and colours of the phases as they are now."""
        if scheme is None:
            return
        for layer in self._own():
            roles.apply_scheme(layer, scheme)
        self._scheme = scheme

    def _own(self) -> list[Labels]:
        """Layers that were painted for the phases before the change, and not for some other model's."""
        known = self._scheme
        return [layer for layer in self._edits() if known is not None and scheme_of(layer) in (None, known)]


def check_names(
    labels: NDArray[np.uint8], painted: PhaseScheme | None, scheme: PhaseScheme, name: str
) -> None:
    """Make sure that the numbers in a layer, or a field of a project, mean phases of the same name.

    Raises
    ------
    SchemeError
        A label that is another phase now.
    """
    if painted is None:
        return
    present = set(np.unique(labels).tolist())
    for old, new in zip(painted, scheme, strict=False):
        if old.label in present and normalise_name(old.name) != normalise_name(new.name):
            raise SchemeError(
                f"{name!r} was painted for {painted.describe()}, but the model has {scheme.describe()}. Choose "
                "its model, or rename or reorder the phases."
            )
