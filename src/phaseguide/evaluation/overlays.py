"""Where a model hits a phase and where it does not: a picture a phase and image, and the worst and best of each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Item
from phaseguide.errors import OutputError
from phaseguide.evaluation.agreement import agreement_picture
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted
from phaseguide.files.atomic import check_place, write_bytes
from phaseguide.phases import Phase, PhaseScheme
from phaseguide.segmentation.saving import overlay_image, png_bytes

SHOWN = 4
"""Images on the sheet from the worst on, and as many from the best."""

_SIDE = 360
_TEXT = 22


@dataclass
class Pictures:
    """Writes the pictures of a study into a folder of its own, those of the first repeat.

    ``<label>_<phase>/<stem>.png`` for each phase and image, and ``<label>_<phase>_worst_and_best.png``: micrograph and
    picture of the images with the lowest and the highest IoU of the phase. `OutputError` where the folder holds
    something.
    """

    folder: Path
    _seen: list[tuple[Item, NDArray[np.float64]]] = field(default_factory=list)
    _scheme: PhaseScheme | None = None

    def __post_init__(self) -> None:
        folder = self.folder
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            raise OutputError(
                f"{folder}: holds something already, which stays. Choose a new or empty folder."
            )
        check_place(folder)

    def see(self, item: Item, labels: NDArray[np.uint8], predicted: Predicted) -> None:
        """Write the pictures of an image."""
        if predicted.repeat:
            return
        made = predicted.segmentation
        self._scheme = made.scheme
        for phase in made.scheme:
            picture = agreement_picture(labels, made.labels, phase.label)
            write_bytes(self._path(phase, item.stem), png_bytes(picture))
        scores = scores_from_confusion(confusion_matrix(labels, made.labels, len(made.scheme)))
        self._seen.append((item, scores.iou))

    def finish(self) -> None:
        """Write a sheet for each phase that is in an image or was found in one."""
        for index, phase in enumerate(self._scheme or ()):
            rows = sorted((float(iou[index]), i) for i, (_, iou) in enumerate(self._seen) if iou[index] >= 0)
            if len(rows) > 2 * SHOWN:
                rows = [*rows[:SHOWN], *rows[-SHOWN:]]
            if rows:
                lines = [self._line(phase, self._seen[i][0], iou) for iou, i in rows]
                target = self.folder / f"{_slug(phase)}_worst_and_best.png"
                write_bytes(target, png_bytes(np.concatenate(lines)))

    def _path(self, phase: Phase, stem: str) -> Path:
        return self.folder / _slug(phase) / f"{stem}.png"

    def _line(self, phase: Phase, item: Item, iou: float) -> NDArray[np.uint8]:
        """An image of the sheet: micrograph and picture side by side, under a line of text."""
        from PIL import Image, ImageDraw, ImageOps

        pixels = item.read_image().data
        scheme = PhaseScheme.from_names([phase.name])
        grey = overlay_image(pixels, np.zeros(pixels.shape[:2], dtype=np.uint8), scheme)
        with Image.open(self._path(phase, item.stem)) as opened:
            both = (Image.fromarray(grey), opened.convert("RGB"))
        shown = [ImageOps.contain(one, (_SIDE, 2 * _SIDE), Image.Resampling.BOX) for one in both]
        line = Image.new("RGB", (2 * _SIDE + 6, shown[0].height + _TEXT), "white")
        for place, picture in enumerate(shown):
            line.paste(picture, (place * (_SIDE + 6), _TEXT))
        said = f"{item.stem}   IoU {100 * iou:.1f} %".encode("ascii", "replace").decode()
        ImageDraw.Draw(line).text((4, 5), said, fill="black")
        return np.asarray(line)


def _slug(phase: Phase) -> str:
    return f"{phase.label}_{re.sub(r'[^A-Za-z0-9]+', '_', phase.name).strip('_')[:40]}"
