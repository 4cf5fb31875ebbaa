"""Which images teach, validate and test: read from the folds or the published splits of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import DatasetError
from phaseguide.files.json_files import read_json
from phaseguide.phases import PhaseScheme
from phaseguide.training.crossfit.folds import Folds, read_folds, training_stems

FOLDS_FILE, SPLITS_FILE = "folds.json", "splits.json"

PUBLISHED = "test"
"""Name of the one split of a data set that comes with train, val and test."""

ALL = "all"
"""Name of the split of a network that learns from all images, to be judged on another data set."""


@dataclass(frozen=True)
class Split:
    """Images of one network by stem: those that it learns from, that choose its epoch, and that it is judged on.

    Without validation images of their own (folds), these are drawn from the training ones, if the settings want any.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class StudyData:
    """A data set with its phases and its splits by name (those of folds have the name of the tested fold)."""

    dataset: Dataset
    scheme: PhaseScheme
    splits: Mapping[str, Split]

    @property
    def name(self) -> str:
        """Name of the folder, which is that of the data set in tables and files."""
        return self.dataset.folder.resolve().name


def open_study_data(folder: Path, folds_file: Path | None = None) -> StudyData:
    """Open a folder as ``phaseguide data convert`` writes it: labelled images, ``scheme.json``, folds or splits.

    ``folds_file`` comes before the folder's own ``folds.json``, and that before ``splits.json`` (lists ``train``,
    ``val``, ``test``). `DatasetError` where the phases or both files are missing.
    """
    dataset = open_dataset(folder).labelled()
    if dataset.scheme is None:
        raise DatasetError(
            f"{folder}: has no scheme.json. Make the folder with phaseguide data convert, which names the phases."
        )
    if folds_file is None and (folder / FOLDS_FILE).is_file():
        folds_file = folder / FOLDS_FILE
    if folds_file is not None:
        splits = splits_of(read_folds(folds_file, dataset))
    else:
        splits = {PUBLISHED: _published(folder / SPLITS_FILE, dataset)}
    return StudyData(dataset, dataset.scheme, splits)


def splits_of(folds: Folds) -> dict[str, Split]:
    """Return a split for each fold, which it tests; the others teach."""
    return {name: Split(training_stems(folds, name), (), test) for name, test in folds.items()}


def _published(path: Path, dataset: Dataset) -> Split:
    if not path.is_file():
        raise DatasetError(
            f"{dataset.folder}: has neither {FOLDS_FILE} nor {SPLITS_FILE}, which say which images test. Give --folds "
            'FILE ({"A": ["image", ...], "B": [...]}), or make the folder with phaseguide data convert.'
        )
    try:
        found = read_json(path)
        train, validation, test = (tuple(found.get(name, ())) for name in ("train", "val", "test"))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f"{path}: not a file of splits ({error}).") from error
    if not all(isinstance(stem, str) for stem in (*train, *validation, *test)):
        raise DatasetError(
            f"{path}: not a file of splits. Write lists of names of images under train, val and test."
        )
    if not train or not test:
        raise DatasetError(f"{path}: needs images under train and under test.")
    stems = [*train, *validation, *test]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise DatasetError(f"{path}: {twice[0]} stands there twice. Leave it in one split.")
    dataset.only(stems)
    return Split(train, validation, test)
