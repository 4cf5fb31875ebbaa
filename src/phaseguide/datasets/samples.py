"""Micrographs that ship with the package, with their labels. No shipped model was trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import DatasetError
from phaseguide.phases import PhaseScheme

TITLES = {
    "uhcs0220": "Ultra-high carbon steel 220 (SEM)",
    "uhcs0495": "Ultra-high carbon steel 495 (SEM)",
}

ATTRIBUTION = (
    "DeCost, Lei, Francis, Holm 2019, doi 10.1017/S1431927618015635, NIST hdl 11256/964, "
    "as redistributed in leibo-cmu/MatSeg (MIT licence)"
)


@dataclass(frozen=True)
class Sample:
    """A micrograph that ships with the package.

    Attributes
    ----------
    name : str
        What `open_sample` knows it by.
    title : str
        What a user reads.
    image : ndarray of uint8, shape (H, W)
        Grey values.
    labels : ndarray of uint8, shape (H, W)
        The truth: 1..K the phases, 0 not classified, 255 excluded.
    scheme : PhaseScheme
        Its phases.
    image_path, label_path : Path
        The files that both were read from.
    """

    name: str
    title: str
    image: NDArray[Any]
    labels: NDArray[np.uint8]
    scheme: PhaseScheme
    image_path: Path
    label_path: Path


def sample_dataset() -> Dataset:
    """Return the samples as a data set."""
    return open_dataset(Path(str(files("phaseguide"))) / "samples" / "uhcs")


def sample_names() -> list[str]:
    """Names that `open_sample` knows."""
    return list(TITLES)


def strokes_file(name: str) -> Path:
    """File of the strokes that ship with a sample; see ``scripts/make_strokes.py``."""
    return sample_dataset().folder / "strokes" / f"{name}_edits.tif"


def open_strokes(name: str) -> NDArray[np.uint8]:
    """Read the strokes that ship with a sample, (H, W): 1..K where somebody painted, else 0."""
    from phaseguide.micrographs.label_maps import read_label_map

    path = strokes_file(name)
    if not path.is_file():
        raise DatasetError(f"No strokes ship with sample {name!r}.")
    return read_label_map(path)


def open_sample(name: str) -> Sample:
    """Read a micrograph that ships with the package, with its true labels.

    Parameters
    ----------
    name : str
        ``"uhcs0220"`` or ``"uhcs0495"``; `sample_names` lists them.

    Returns
    -------
    Sample
        Image and labels of shape (H, W), the phases, and the files they come from.

    Raises
    ------
    DatasetError
        No such sample.
    """
    if name not in TITLES:
        raise DatasetError(f"There is no sample {name!r}. Samples: {', '.join(TITLES)}.")
    dataset = sample_dataset()
    (item,) = dataset.only([name]).items
    assert dataset.scheme is not None and item.label_path is not None
    image = item.read_image().data
    labels = item.read_labels(dataset.scheme, (image.shape[0], image.shape[1]))
    return Sample(name, TITLES[name], image, labels, dataset.scheme, item.image_path, item.label_path)
