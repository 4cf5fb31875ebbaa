"""Which images have information bars or an empty rim, and whether the user wants them excluded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from phaseguide.jobs.plane_index import Index
from phaseguide.micrographs.margins import NO_MARGINS, Margins, find_margins
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.identity import KEY
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.layers import Image


class InfoBars(QObject):
    """Looks for the bars and the rim of each image once; ``found`` tells of an image layer's id."""

    found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._margins: dict[Any, tuple[Margins, bool]] = {}

    def proposal(self, image: Image | None) -> tuple[Margins, bool]:
        """What was found, and whether it is to be excluded; nothing without an image."""
        return self._margins.get(None if image is None else image.unique_id, (Margins(), True))

    def margins(self, image: Image, index: Index) -> Margins:
        """What to exclude of a plane of an image."""
        margins, wanted = self.proposal(image)
        fits = margins.bottom + margins.top < planes.data_shape(image)[-2]
        return margins.of_plane(*index) if wanted and fits else Margins()

    def want(self, image: Image | None, wanted: bool) -> None:
        """Exclude the bars and the rim of an image, or not."""
        if image is not None and image.unique_id in self._margins:
            self._margins[image.unique_id] = (self._margins[image.unique_id][0], wanted)

    def forget(self, image: Image) -> None:
        """Forget an image whose data were replaced."""
        self._margins.pop(image.unique_id, None)

    def look(self, image: Image) -> None:
        """Look in the background, unless the image says that it knows."""
        known = image.metadata.get(KEY, {}).get("margins")
        data = planes.full_data(image)
        if isinstance(known, Margins):
            self._note((image.unique_id, known))
        elif type(data).__module__ == "numpy" and len(planes.data_shape(image)) >= 2:
            key, rgb = image.unique_id, image.rgb
            in_background(self, lambda: (key, look_for_margins(data, rgb=rgb)), self._note, self._nothing)

    def _note(self, found: tuple[Any, Margins]) -> None:
        key, margins = found
        self._margins[key] = (margins, bool(margins))
        self.found.emit(key)

    def _nothing(self, error: BaseException) -> None:
        """An image that cannot be looked at is reported when it is segmented."""


def look_for_margins(data: NDArray[Any], *, rgb: bool) -> Margins:
    """Information bars and rim of the data of an image layer; none where the layer holds no grey values or colours."""
    if data.dtype.kind not in "uif":
        return NO_MARGINS
    empty = data[..., 3] == 0 if rgb and data.shape[-1] == 4 else None
    return find_margins(data[..., :3] if rgb else data, empty=empty)
