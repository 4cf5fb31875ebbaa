"""What networks were judged to do, kept beside them, and whether it is of this network, these images and questions."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice
from phaseguide.files.json_files import read_json
from phaseguide.models.model_file import read_card
from phaseguide.studies.networks.training import Cell, Matrix
from phaseguide.training.planning import plan_for

Judged = dict[str, Any]


def identity(matrix: Matrix, cell: Cell, questions: Mapping[str, Any]) -> Judged:
    """Say what a judgement is of: the network and its settings, the images that it was asked about, the questions."""
    record = read_card(cell.model(matrix.out))
    return {
        "condition": cell.condition,
        "seed": cell.seed,
        "split": cell.split,
        "weights": record.tensors_sha256,
        "training": record.training.get("config", {}),
        **_asked(matrix, cell, questions),
    }


def kept(
    matrix: Matrix, cell: Cell, kind: str, questions: Mapping[str, Any]
) -> Generator[Notice, None, Judged | None]:
    """Return the judgement of a kind that is kept of a network, None without one that still holds.

    One of another network, other images, labels or questions is told in a `Notice`. `PhaseguideError` for a file that
    is none, or of other settings.
    """
    path = cell.judgement(matrix.out, kind)
    if not path.exists():
        return None
    found = read_judgement(path)
    config = plan_for(matrix.data(cell), matrix.config(cell))
    if not config.is_recorded_as({**found["training"], "device": config.device}):
        raise PhaseguideError(
            f"{path}: is of a network of other settings. Give those that it was trained with (--set, --size), or "
            "choose another folder."
        )
    model = cell.model(matrix.out)
    weights = read_card(model).tensors_sha256 if model.exists() else found["weights"]
    wanted = {"weights": weights, **_asked(matrix, cell, questions)}
    if any(found.get(key) != value for key, value in wanted.items()):
        yield Notice(f"{path}: is of another network, other images or other questions, and does not count.")
        return None
    return found


def read_judgement(path: Path) -> Judged:
    """Read a judgement; `PhaseguideError` for a file that is none."""
    try:
        found: Judged = read_json(path)
        if not {"condition", "judging", "weights", "training"} <= found.keys():
            raise ValueError("it has not the keys of one")
    except (OSError, ValueError, AttributeError) as error:
        raise PhaseguideError(f"{path}: holds no judgement of this study ({error}). Delete it.") from error
    return found


def _asked(matrix: Matrix, cell: Cell, questions: Mapping[str, Any]) -> Judged:
    return {
        "judging": dict(questions),
        "tested": {"images": list(matrix.splits[cell.split].test), "sha256": matrix.images_sha256},
    }
