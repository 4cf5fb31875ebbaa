"""Folds: which images are tested together, read from a JSON file, and checked against a data set."""

from __future__ import annotations

from pathlib import Path

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import DatasetError
from phaseguide.files.foreign import is_safe_name
from phaseguide.files.json_files import read_json

Folds = dict[str, tuple[str, ...]]


def read_folds(path: str | Path, dataset: Dataset) -> Folds:
    """Read ``{"A": ["stem", ...], "B": [...]}``: two folds at least, of labelled images, none of them in two.

    Images of the data set that no fold names are used by none, neither to train nor to test.
    """
    path = Path(path)
    try:
        data = read_json(path)
        folds = {str(name): tuple(str(s) for s in stems) for name, stems in data.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f'{path}: not a folds file ({error}). Expected {{"A": ["image", ...], "B": [...]}}.'
        ) from error
    if odd := [name for name in folds if not is_safe_name(name)]:
        raise DatasetError(
            f"{path}: a fold cannot be called {odd[0]!r}, since a file is named after it. Use letters and digits."
        )
    if len(folds) < 2 or not all(folds.values()):
        raise DatasetError(f"{path}: needs at least two folds with an image each.")
    seen: dict[str, str] = {}
    for name, stems in folds.items():
        for stem in stems:
            if stem in seen:
                raise DatasetError(f"{path}: image {stem} is in fold {seen[stem]} and in fold {name}.")
            seen[stem] = name
    labelled = {i.stem for i in dataset.labelled().items}
    missing = sorted(set(seen) - labelled)
    if missing:
        raise DatasetError(f"{path}: image {', '.join(missing)} is not labelled in {dataset.folder}.")
    return folds


def model_path(folder: Path, fold: str) -> Path:
    """Where a cross-validation keeps the model of a fold."""
    return folder / f"fold_{fold}.safetensors"


def training_stems(folds: Folds, test: str) -> tuple[str, ...]:
    """Images of all folds but the tested one."""
    return tuple(stem for name, stems in folds.items() if name != test for stem in stems)
