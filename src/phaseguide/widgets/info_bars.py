"""Which images have an information bar at the bottom, and whether the user wants it excluded."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.widgets import layers, planes
from phaseguide.widgets.inspection import find_bar
from phaseguide.widgets.runner import in_background


class InfoBars(QObject):
    """Looks for the bar of each image once; ``found`` tells of an image layer's id."""

    found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bars: dict[Any, tuple[int, bool]] = {}

    def proposal(self, image: Any) -> tuple[int, bool]:
        """Rows of the bar, 0 for none, and whether they are to be excluded."""
        return self._bars.get(image.unique_id, (0, True))

    def rows(self, image: Any) -> int:
        """Rows to exclude at the bottom of an image."""
        rows, wanted = (0, False) if image is None else self.proposal(image)
        return rows if wanted and rows < planes.data_shape(image)[-2] else 0

    def want(self, image: Any, wanted: bool) -> None:
        """Exclude the bar of an image, or not."""
        if image is not None and image.unique_id in self._bars:
            self._bars[image.unique_id] = (self._bars[image.unique_id][0], wanted)

    def forget(self, image: Any) -> None:
        """Forget an image whose data were replaced."""
        self._bars.pop(image.unique_id, None)

    def look(self, image: Any) -> None:
        """Look for a bar in the background, unless the image says that it knows."""
        known = image.metadata.get(layers.KEY, {}).get("info_bar_rows")
        data = planes.full_data(image)
        if known is not None:
            self._note((image.unique_id, int(known)))
        elif type(data).__module__ == "numpy" and len(planes.data_shape(image)) >= 2:
            index = (0,) * (len(planes.data_shape(image)) - 2)
            read, key = planes.plane_reader(data, index, rgb=image.rgb), image.unique_id
            in_background(self, lambda: (key, find_bar(read)), self._note, self._nothing)

    def _note(self, found: tuple[Any, int]) -> None:
        key, rows = found
        self._bars[key] = (rows, rows > 0)
        self.found.emit(key)

    def _nothing(self, error: BaseException) -> None:
        """An image that cannot be looked at is reported when it is segmented."""
