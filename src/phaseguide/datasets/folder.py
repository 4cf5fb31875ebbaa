"""A data-set folder: ``images/`` and ``labels/`` matched by stem, and an optional ``scheme.json``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DatasetError
from phaseguide.micrographs.label_maps import read_label_map
from phaseguide.micrographs.reading import IMAGE_SUFFIXES, Micrograph, read_micrograph
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import count_labels

LABEL_ENDING = "_labels"


@dataclass(frozen=True)
class Item:
    """One field: an image and, where there is one, its label map."""

    stem: str
    image_path: Path
    label_path: Path | None

    def read_image(self) -> Micrograph:
        """Read the image; raises `MicrographError` naming the file."""
        return read_micrograph(self.image_path)

    def read_labels(self, scheme: PhaseScheme, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Read the label map; `DatasetError` if it is not of the image's shape, `SchemeError` for foreign values."""
        labels = self._label_map()
        if labels.shape != shape:
            raise DatasetError(
                f"{self.label_path}: is {labels.shape[0]} x {labels.shape[1]} px, but its image "
                f"{self.image_path.name} is {shape[0]} x {shape[1]} px. Labels must match pixel by pixel."
            )
        scheme.check_labels(np.unique(labels).tolist(), source=str(self.label_path))
        return labels

    def count_labels(self, scheme: PhaseScheme) -> NDArray[np.int64]:
        """Pixels for each label value 0..255, without reading the image; errors as in `read_labels`."""
        counts = count_labels(self._label_map())
        scheme.check_labels(np.flatnonzero(counts).tolist(), source=str(self.label_path))
        return counts

    def _label_map(self) -> NDArray[np.uint8]:
        if self.label_path is None:
            raise DatasetError(
                f"{self.image_path}: has no label map. Put {self.stem}.png or .tif into labels/."
            )
        return read_label_map(self.label_path)


@dataclass(frozen=True)
class Dataset:
    """The fields of a folder, in order of their names."""

    folder: Path
    items: tuple[Item, ...]
    scheme: PhaseScheme | None

    def labelled(self) -> Dataset:
        """Only the fields that have a label map."""
        return replace(self, items=tuple(i for i in self.items if i.label_path is not None))

    def without(self, stems: Iterable[str]) -> Dataset:
        """Leave fields out by stem; a stem that is not there raises `DatasetError`."""
        drop = self._known(stems)
        return replace(self, items=tuple(i for i in self.items if i.stem not in drop))

    def only(self, stems: Iterable[str]) -> Dataset:
        """Keep fields by stem; a stem that is not there raises `DatasetError`."""
        keep = self._known(stems)
        return replace(self, items=tuple(i for i in self.items if i.stem in keep))

    def _known(self, stems: Iterable[str]) -> set[str]:
        wanted, have = set(stems), {i.stem for i in self.items}
        missing = sorted(wanted - have)
        if missing:
            raise DatasetError(
                f"{self.folder}: there is no image {', '.join(missing)}. Images: {', '.join(sorted(have))}."
            )
        return wanted


def open_dataset(folder: str | Path) -> Dataset:
    """List a data-set folder; `DatasetError` if it holds no image, two of one stem, or labels without an image.

    ``images/`` and, for labelled fields, ``labels/`` hold the same stems (``<stem>`` or ``<stem>_labels``), labels in
    8 bits, 0 not classified, 1..K, 255 excluded. ``scheme.json`` names the phases. Without ``images/`` the folder's
    own images are taken, unlabelled.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder.")
    images = _by_stem(folder / "images" if (folder / "images").is_dir() else folder)
    if not images:
        raise DatasetError(
            f"{folder}: no images found. Expected {folder}/images with TIFF, PNG, JPEG or BMP files."
        )
    labels = _by_stem(folder / "labels") if (folder / "labels").is_dir() else {}
    labels = {
        stem.removesuffix(LABEL_ENDING) if stem not in images else stem: p for stem, p in labels.items()
    }
    orphans = sorted(set(labels) - set(images))
    if orphans:
        raise DatasetError(
            f"{folder}/labels: label map without an image: {', '.join(orphans[:5])}. Names must match."
        )
    scheme_file = folder / "scheme.json"
    scheme = PhaseScheme.read(scheme_file) if scheme_file.is_file() else None
    items = tuple(Item(stem, path, labels.get(stem)) for stem, path in sorted(images.items()))
    return Dataset(folder, items, scheme)


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            raise DatasetError(
                f"{folder}: {found[path.stem].name} and {path.name} have the same name. Keep one."
            )
        found[path.stem] = path
    return found
