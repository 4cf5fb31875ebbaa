"""Images whose field is reviewed: no result and no edit changes any more, until the field is reopened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.errors import ProjectError
from phaseguide.widgets.layers.identity import KEY, mark_of

if TYPE_CHECKING:
    from napari.layers import Image, Layer

MARK = "frozen"


def freeze(layer: Layer, frozen: bool) -> None:
    """Mark an image layer or its edits as frozen, or free them again."""
    mark = {key: value for key, value in mark_of(layer).items() if key != MARK}
    layer.metadata = {**layer.metadata, KEY: {**mark, MARK: layer.unique_id} if frozen else mark}


def is_frozen(layer: Layer) -> bool:
    """Whether a layer belongs to a reviewed field; a copy of it does not."""
    return bool(mark_of(layer).get(MARK) == layer.unique_id)


def check_not_frozen(image: Image) -> None:
    """Raise where a new result would change what was reviewed.

    Raises
    ------
    ProjectError
        The field of the image is reviewed.
    """
    if is_frozen(image):
        raise ProjectError(
            f"{image.name!r} is reviewed, so its result and its edits stay as they are. To change them, "
            "press Reopen in Image, Project."
        )
