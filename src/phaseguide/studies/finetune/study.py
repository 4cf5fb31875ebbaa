"""The fine-tuning benchmark: all stories over all folds, one line of a file a result, so that it can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Progress
from phaseguide.models.model_file import LoadedModel, load_model, read_card
from phaseguide.phases import PhaseScheme
from phaseguide.settings import Settings
from phaseguide.studies.finetune.data import read_fields
from phaseguide.studies.finetune.fields import FIELDS, other_fields
from phaseguide.studies.finetune.fold_heads import FoldHeads
from phaseguide.studies.finetune.places import PLACES, PlaceOptions, compare_places
from phaseguide.studies.finetune.scenarios import (
    KNOWN_STEEL,
    NEW_STEEL,
    Row,
    StoryOptions,
    Turn,
    known_steel,
    new_steel,
)
from phaseguide.training.crossfit.folds import Folds, model_path, training_stems

STORIES = (NEW_STEEL, KNOWN_STEEL, FIELDS, PLACES)
STORY_NAMES = {"new": NEW_STEEL, "known": KNOWN_STEEL, "fields": FIELDS, "places": PLACES}
"""Words for them on the command line."""

Key = tuple[str, str, str]
"""Story, fold and first painted image: a turn, which is run again as a whole if it was stopped."""


@dataclass(frozen=True)
class StudyOptions:
    """Everything that decides the numbers; ``start`` names the model that a new steel starts from (empty: encoder
    from ImageNet).
    """

    story: StoryOptions = field(default_factory=StoryOptions)
    places: PlaceOptions = field(default_factory=PlaceOptions)
    start: str = ""


class StudyLog:
    """Results in a file of JSON lines that a run goes on from; the first line holds the settings that decide the
    numbers, each turn ends with a mark.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._rows: dict[Key, list[Row]] = {}
        self._done: set[Key] = set()
        settings = json.loads(json.dumps(settings))
        lines = read_lines(path)
        if lines and lines[0].get("settings") != settings:
            raise PhaseguideError(
                f"{path}: was measured with other settings ({_differing(lines[0].get('settings'), settings)}). "
                "Choose another file, or take this one away."
            )
        for line in lines[1:]:
            if "done" in line:
                self._done.add(_key(line["done"]))
            else:
                self._take(line)
        if not lines:
            self._append({"settings": settings})

    def has(self, key: Key) -> bool:
        """Whether a turn was run to its end."""
        return key in self._done

    def begin(self, key: Key) -> None:
        """Forget what a turn that was stopped has left."""
        self._rows.pop(key, None)

    def add(self, row: Row) -> None:
        """Append a result."""
        self._append(row)
        self._take(row)

    def end(self, key: Key) -> None:
        """Mark a turn as complete."""
        self._append({"done": {"story": key[0], "fold": key[1], "painted": key[2]}})
        self._done.add(key)

    @property
    def rows(self) -> list[Row]:
        """Results of all complete turns."""
        return [row for key, rows in self._rows.items() if key in self._done for row in rows]

    def _take(self, row: Row) -> None:
        rows = self._rows.setdefault(_key(row), [])
        # A turn that was stopped and run again repeats its rows; the later one counts.
        rows[:] = [r for r in rows if _identity(r) != _identity(row)]
        rows.append(row)

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                if file.tell() and not _ends_with_newline(self._path):
                    file.write(b"\n")  # what a killed run left of its last line stays a line of its own
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PhaseguideError(
                f"{self._path}: cannot be written ({error.strerror or error}). Free some space there, or choose "
                "another file. What was measured so far is kept."
            ) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; torn lines are left out. An empty list where there is no file."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PhaseguideError(f"{path}: cannot be read ({error.strerror or error}).") from error
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    if text.strip() and (not found or "settings" not in found[0]):
        raise PhaseguideError(f"{path}: is no file of this benchmark. Choose another.")
    return found


def finetune_study(
    dataset: Dataset,
    folds: Folds,
    models: Path,
    scheme: PhaseScheme,
    log: Path,
    options: StudyOptions,
    *,
    stories: Sequence[str] = STORIES,
    only: Sequence[str] = (),
    turns: int = 0,
    start: LoadedModel | None = None,
) -> Iterator[Progress | Row | Finished[list[Row]]]:
    """Run the stories over the folds, the first image of every fold first; stop it by closing the generator.

    ``models`` is a folder with ``fold_<name>.safetensors``, from ``phaseguide benchmark folds``. Turns that the
    file ``log`` holds are not run again. ``only`` names folds (none: all), ``turns`` says how many images of each
    are painted (0: all). The name of ``start`` (see `new_steel`) must be in the options. Yields each result as it
    is written, and last all results of complete turns in the file.
    """
    names = _chosen(only or tuple(folds), folds, "fold")
    _chosen(stories, STORIES, "story")
    found = {name: _fold_model(models, name, scheme) for name in names}
    heads = FoldHeads(dataset, folds, models, scheme)
    record = StudyLog(log, settings_of(options, _checksums(models, folds), start))
    plan = [
        (story, name, index)
        for index in range(max(len(stems) for stems in folds.values()))
        for name in names
        for story in stories
        if index < len(folds[name]) and (not turns or index < turns)
    ]
    for number, (story, name, index) in enumerate(plan):
        key = (story, name, folds[name][index])
        if record.has(key):
            continue
        record.begin(key)
        yield Progress(f"{story}, fold {name}, {key[2]}", number, len(plan))
        old = read_fields(dataset, training_stems(folds, name), scheme) if story != NEW_STEEL else ()
        head = heads.of(name) if story == FIELDS else None
        turn = Turn(name, read_fields(dataset, folds[name], scheme), index, found[name], old, head)
        for event in _events(story, turn, options, start):
            if isinstance(event, dict):
                record.add(event)
            yield event
        record.end(key)
    yield Finished(record.rows)


def settings_of(
    options: StudyOptions, models: dict[str, str], start: LoadedModel | None = None
) -> dict[str, Any]:
    """What decides the numbers, as JSON values; models are named by the checksums of their weights."""
    began = "" if start is None else start.card.tensors_sha256
    return {**_told(options), "models": models, "start_sha256": began}


def _told(options: Any) -> dict[str, Any]:
    """What options hold, as JSON values; those of a run are settings of their own."""
    told = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        key: value.to_dict()
        if isinstance(value, Settings)
        else _told(value)
        if is_dataclass(value)
        else value
        for key, value in told.items()
    }


def _events(story: str, turn: Turn, options: StudyOptions, start: LoadedModel | None) -> Iterator[Any]:
    if story == NEW_STEEL:
        return new_steel(turn, options.story, start)
    if story == KNOWN_STEEL:
        return known_steel(turn, options.story)
    if story == FIELDS:
        return other_fields(turn, options.story)
    return compare_places(turn, options.story, options.places, start)


def _fold_model(folder: Path, name: str, scheme: PhaseScheme) -> LoadedModel:
    from phaseguide.evaluation.evaluate import check_same_scheme

    path = model_path(folder, name)
    if not path.exists():
        raise PhaseguideError(
            f"{path}: is not there. Train the folds first: phaseguide benchmark folds ... --out {folder}"
        )
    model = load_model(path)
    check_same_scheme(scheme, model.card, "the data set")
    return model


def _checksums(folder: Path, folds: Folds) -> dict[str, str]:
    """Checksums of the weights of all folds' models, also of those that are not asked for this time."""
    paths = {name: model_path(folder, name) for name in folds}
    return {name: read_card(path).tensors_sha256 if path.exists() else "" for name, path in paths.items()}


def _chosen(wanted: Sequence[str], known: Any, what: str) -> tuple[str, ...]:
    for name in wanted:
        if name not in known:
            raise PhaseguideError(f"There is no {what} {name!r}. Choose {', '.join(known)}.")
    return tuple(wanted)


def _key(row: Row) -> Key:
    return str(row["story"]), str(row["fold"]), str(row["painted"])


def _identity(row: Row) -> tuple[Any, ...]:
    return row["method"], row["round"], row.get("seed")


def _differing(old: Any, new: dict[str, Any], prefix: str = "") -> str:
    """Name the settings that differ."""
    if not isinstance(old, dict):
        return prefix.rstrip(".") or "none written"
    names = []
    for key in sorted({*old, *new}):
        if old.get(key) == new.get(key):
            continue
        if isinstance(new.get(key), dict):
            names.append(_differing(old.get(key), new[key], f"{prefix}{key}."))
        else:
            names.append(f"{prefix}{key}")
    return ", ".join(names)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
