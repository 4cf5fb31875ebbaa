"""Folds: which images are tested together, drawn or read from a JSON file, and checked against a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import DatasetError, TrainingError
from phaseguide.files.foreign import is_safe_name
from phaseguide.files.json_files import read_json
from phaseguide.phases import PhaseScheme

Folds = dict[str, tuple[str, ...]]

Held = Mapping[str, frozenset[int]]
"""Which phases, 1..K, each image holds, by stem."""

_EXPECTED = 'Write {"A": ["image", ...], "B": [...]}.'

DRAWS = 50
"""Deals that are tried at most for one that leaves every phase to the training of every fold."""


def read_folds(path: str | Path, dataset: Dataset) -> Folds:
    """Read ``{"A": ["stem", ...], "B": [...]}``: two folds at least, of labelled images, none of them in two.

    Images of the data set that no fold names are used by none, neither to train nor to test.
    """
    path = Path(path)
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a folds file ({error}). {_EXPECTED}") from error
    if not isinstance(data, dict):
        raise DatasetError(f"{path}: holds no folds by name. {_EXPECTED}")
    for name, stems in data.items():
        if not isinstance(stems, list) or not all(isinstance(stem, str) for stem in stems):
            raise DatasetError(f"{path}: fold {name} is no list of names of images. {_EXPECTED}")
    folds = {name: tuple(stems) for name, stems in data.items()}
    if odd := [name for name in folds if not is_safe_name(name)]:
        raise DatasetError(
            f"{path}: a fold cannot be called {odd[0]!r}, since a file is named after it. Use letters and digits."
        )
    if len(folds) < 2 or not all(folds.values()):
        raise DatasetError(f"{path}: needs at least two folds with an image each. {_EXPECTED}")
    seen: dict[str, str] = {}
    for name, stems in folds.items():
        for stem in stems:
            if stem in seen:
                raise DatasetError(
                    f"{path}: image {stem} is in fold {seen[stem]} and in fold {name}. Leave it in one place."
                )
            seen[stem] = name
    labelled = {i.stem for i in dataset.labelled().items}
    missing = sorted(set(seen) - labelled)
    if missing:
        raise DatasetError(
            f"{path}: image {', '.join(missing)} is not labelled in {dataset.folder}. Write the name as that of its "
            "file without the ending, label the image, or take it out of the folds."
        )
    return folds


def draw_folds(holds: Held, count: int, seed: int) -> Folds:
    """Deal whole images out to ``count`` folds, named 1, 2, ...: sizes differ by one at most, phases are spread.

    Each image, those with rare phases first, goes where its rarest phases are rarest (iterative stratification,
    Sechidis, Tsoumakas and Vlahavas 2011). There are at least ``count`` images.
    """
    rng = np.random.default_rng(seed)
    stems = sorted(holds)
    deals = (_deal([stems[i] for i in rng.permutation(len(stems))], holds, count) for _ in range(DRAWS))
    lacking = None
    for folds in deals:
        lack = sum(map(len, missing_phases(folds, holds).values()))
        if lacking is None or lack < lacking:
            best, lacking = folds, lack
        if not lack:
            break
    return best


def _deal(stems: Sequence[str], holds: Held, count: int) -> Folds:
    total = Counter(phase for stem in stems for phase in holds[stem])
    rarest_first = {stem: sorted(holds[stem], key=lambda phase: (total[phase], phase)) for stem in stems}
    room = [len(stems) // count + (k < len(stems) % count) for k in range(count)]
    dealt: list[list[str]] = [[] for _ in range(count)]
    seen = [Counter[int]() for _ in range(count)]
    for stem in sorted(
        stems, key=lambda stem: [total[phase] for phase in rarest_first[stem]] or [len(stems)]
    ):
        phases = rarest_first[stem]
        open_folds = [k for k in range(count) if len(dealt[k]) < room[k]]
        fold = min(open_folds, key=lambda k: ([seen[k][phase] for phase in phases], len(dealt[k])))
        dealt[fold].append(stem)
        seen[fold].update(phases)
    return {str(k + 1): tuple(sorted(members)) for k, members in enumerate(dealt)}


def missing_phases(folds: Folds, holds: Held) -> dict[str, frozenset[int]]:
    """Phases of each tested fold that no image of the others holds: its model would not know them."""
    return {
        name: frozenset().union(*(holds[stem] for stem in test))
        - frozenset().union(*(holds[stem] for stem in training_stems(folds, name)))
        for name, test in folds.items()
    }


def check_count(labelled: int, folds: int, share: float, where: Path) -> None:
    """Raise `TrainingError` where so many labelled images are too few for so many folds.

    ``share`` of the images of the other folds validates; with 0 all of them teach.
    """
    least, many = 3 if share else 2, f"{labelled} labelled image{'' if labelled == 1 else 's'}"
    if labelled < least:
        raise TrainingError(
            f"crossfit is {folds}, but {where} has {many}, and cross-fitting needs {least} at least. Label more, or "
            "leave crossfit out."
        )
    if labelled < folds:
        raise TrainingError(
            f"crossfit is {folds}, but {where} has {many}, and every fold needs one. Set a smaller crossfit, or label "
            "more images."
        )


def check_folds(folds: Folds, holds: Held, scheme: PhaseScheme, share: float) -> None:
    """Raise `TrainingError` where the model of a fold would have too few images to learn from, or not every phase.

    ``share`` as in `check_count`.
    """
    for name in folds:
        if (left := len(training_stems(folds, name))) < (2 if share else 1):
            raise TrainingError(
                f"Fold {name} leaves {left} image{'' if left == 1 else 's'} to its model, which needs one to learn "
                "from and one to validate on. Take more folds, or label more images."
            )
    for name, lack in missing_phases(folds, holds).items():
        if lack:
            phase = scheme.phases[min(lack) - 1]
            where = ", ".join(stem for stem in folds[name] if phase.label in holds[stem])
            raise TrainingError(
                f"Fold {name}: only its own images ({where}) hold {phase.name}, so its model would be judged on a "
                "phase that it was never shown. Put these images into different folds, label another image with "
                "that phase, or train without crossfit."
            )


def model_path(folder: Path, fold: str) -> Path:
    """Where a cross-validation keeps the model of a fold."""
    return folder / f"fold_{fold}.safetensors"


def training_stems(folds: Folds, test: str) -> tuple[str, ...]:
    """Images of all folds but the tested one."""
    return tuple(stem for name, stems in folds.items() if name != test for stem in stems)
