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
    "uhcs": {
        "uhcs0220": "Ultra-high carbon steel 220 (SEM)",
        "uhcs0495": "Ultra-high carbon steel 495 (SEM)",
    },
    "superalloy": {"spot2_0d_0": "Nickel superalloy spot2_0d_0 (SEM)"},
    "ebc": {"070516_1_S1160030": "Environmental barrier coating 070516_1_S116 (SEM)"},
}
"""Of the samples of each folder; it is named as the shipped model that knows their phases."""

_NASA = (
    "Stuckner, Harder, Smith 2022, doi 10.1038/s41524-022-00878-5, test image of set {} of "
    "nasa/pretrained-microscopy-models (MIT licence)"
)
ATTRIBUTIONS = {
    "uhcs": "DeCost, Lei, Francis, Holm 2019, doi 10.1017/S1431927618015635, NIST hdl 11256/964, "
    "as redistributed in leibo-cmu/MatSeg (MIT licence)",
    "superalloy": _NASA.format("Super1"),
    "ebc": _NASA.format("EBC2"),
}


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
    attribution : str
        Whose micrograph it is, and under which licence.
    image_path, label_path : Path
        The files that both were read from.
    """

    name: str
    title: str
    image: NDArray[Any]
    labels: NDArray[np.uint8]
    scheme: PhaseScheme
    attribution: str
    image_path: Path
    label_path: Path


def sample_dataset(material: str) -> Dataset:
    """Return the samples of a material, a key of `TITLES`, as a data set."""
    return open_dataset(Path(str(files("phaseguide"))) / "samples" / material)


def sample_names() -> list[str]:
    """Names that `open_sample` knows."""
    return [name for titles in TITLES.values() for name in titles]


def samples_with(scheme: PhaseScheme) -> list[str]:
    """Names of the samples that have the phases of a scheme, in its order; empty if none has."""
    found: list[str] = []
    for material, titles in TITLES.items():
        known = sample_dataset(material).scheme
        if known is not None and known.names == scheme.names:
            found += titles
    return found


def example_sample(scheme: PhaseScheme) -> Sample:
    """Read a sample to try a model of these phases on: one that has them, or the first one there is."""
    return open_sample((samples_with(scheme) or sample_names())[0])


def strokes_file(name: str) -> Path:
    """File of the strokes that ship with a sample; see ``scripts/make_strokes.py``."""
    return sample_dataset(_material(name)).folder / "strokes" / f"{name}_edits.tif"


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
        Such as ``"uhcs0220"``; `sample_names` lists them.

    Returns
    -------
    Sample
        Image and labels of shape (H, W), the phases, and the files they come from.

    Raises
    ------
    DatasetError
        No such sample.
    """
    material = _material(name)
    dataset = sample_dataset(material)
    (item,) = dataset.only([name]).items
    assert dataset.scheme is not None and item.label_path is not None
    image = item.read_image().data
    return Sample(
        name,
        TITLES[material][name],
        image,
        item.read_labels(dataset.scheme, (image.shape[0], image.shape[1])),
        dataset.scheme,
        ATTRIBUTIONS[material],
        item.image_path,
        item.label_path,
    )


def _material(name: str) -> str:
    """Key of `TITLES` that a sample is under; `DatasetError` if there is no such sample."""
    for material, titles in TITLES.items():
        if name in titles:
            return material
    raise DatasetError(f"There is no sample {name!r}. Samples: {', '.join(sample_names())}.")
