"""Edits on their way into a project: only what was changed is written, and what it cannot take is not lost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.labels import relabel_table
from phaseguide.micrographs.label_maps import label_map_bytes
from phaseguide.models.new_file import write_new
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.projects.places import FILE
from phaseguide.projects.project import Project
from phaseguide.projects.rescue import keep_copy, rescue_path

Labels = NDArray[Any]

WAIT_S = 3.0
"""So long a save waits for another program; it is tried again anyway."""


@dataclass
class Known:
    """What a layer and the project agreed on last, in its numbers, and how many changes of phases those followed."""

    base: Labels
    changes: int


@dataclass(frozen=True)
class Painted:
    """An edits layer at some moment, and what is known of it."""

    labels: Labels
    known: Known
    saver: EditSaver

    def save(self, field_id: str) -> str:
        """See `EditSaver.save`."""
        return self.saver.save(field_id, self)


class EditSaver:
    """Writes what is painted on the fields of one project.

    Everything but `keep` and `finish_by` is called in the thread that writes the project, so that strokes and changes
    of the phases are seen in their order.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.token = secrets.token_hex(6)
        self._changes: list[NDArray[np.uint8]] = []
        self._held: dict[str, tuple[Painted, str]] = {}
        self._deadline: float | None = None
        project.wait_s = WAIT_S

    @property
    def changes(self) -> int:
        """Changes of the phases so far."""
        return len(self._changes)

    def begin(self, field_id: str) -> tuple[Labels | None, Known]:
        """Return what a new edits layer of a field is to show, if anything, and what the project has of it.

        What could not be written lies on top of what the project holds.
        """
        stored = self.project.read_edits(field_id)
        base = np.zeros(self.project.field(field_id).shape, np.uint8) if stored is None else stored
        known = Known(base, len(self._changes))
        held = self._held.get(field_id)
        if held is None or held[0].labels.shape != base.shape:
            return stored, known
        layer, then = held[0].labels, held[0].known
        painted, before = self._followed(layer, then.changes), self._followed(then.base, then.changes)
        mine = (painted != before) & (painted >= NOT_CLASSIFIED) & (painted <= EXCLUDED)
        return np.where(mine, painted, base).astype(np.uint8), known

    def save(self, field_id: str, painted: Painted) -> str:
        """Write what was changed on a field; returns what had to be left out and why, empty where everything is on the
        disk.

        `ProjectError` if nothing could be written: the edits are held, and a rescue copy is kept.
        """
        project, known = self.project, painted.known
        labels, base, scheme = painted.labels, known.base, project.scheme
        try:
            if not (project.folder / FILE).is_file():
                raise ProjectError(
                    f"{project.folder}: the project is no longer there; it was moved, or its disk is away. Bring it "
                    "back, then it is saved."
                )
            if labels.shape != base.shape:
                raise ProjectError(
                    f"The edits of {field_id} are {' x '.join(map(str, labels.shape))} px by now, but its image is "
                    f"{' x '.join(map(str, base.shape))} px. Labels must match pixel by pixel."
                )
            now = self._followed(labels, known.changes)
            stray = ~np.isin(now, [NOT_CLASSIFIED, EXCLUDED, *(phase.label for phase in scheme)])
            before = self._followed(base, known.changes).astype(np.uint8)
            self._write(field_id, np.where(stray, before, now).astype(np.uint8), before)
        except Exception as error:  # whatever it is, nothing of what was painted goes
            known_to_us = isinstance(error, PhaseguideError)
            reason = (
                str(error)
                if known_to_us
                else f"{field_id}: could not be saved ({str(error) or type(error).__name__})."
            )
            self._hold(field_id, painted, reason)
            raise ProjectError(f"{reason} {self._keep(field_id, painted, reason)}") from error
        known.base = np.where(stray, base, labels).astype(np.uint8)
        if not stray.any():
            self._held.pop(field_id, None)
            with suppress(OSError):  # at worst it is offered again, and found to be on the disk
                rescue_path(field_id, self.token).unlink(missing_ok=True)
            return ""
        told = _describe(field_id, now, stray, scheme.describe())
        self._hold(field_id, painted, told)
        return f"{told} {self._keep(field_id, painted, told)}"

    def check(self, field_id: str) -> None:
        """Raise `ProjectError` if edits of a field are not on the disk."""
        if field_id in self._held:
            raise ProjectError(f"{self._held[field_id][1]} Its edits are not all saved yet.")

    def followed(self, relabel: Mapping[int, int]) -> None:
        """Note that the project has got other phases: strokes that were under way follow, as its files have."""
        self._changes.append(relabel_table(relabel))

    def keep(self, field_id: str, painted: Painted) -> str:
        """Keep a rescue copy, at the end of a session; return where, or that even this failed. Never raises."""
        _, reason = self._held.get(
            field_id, (painted, "They were still being written when napari was closed.")
        )
        return self._keep(field_id, painted, reason)

    def finish_by(self, seconds: float) -> None:
        """Let all writes together wait no longer than so many seconds from now for another program."""
        self._deadline = time.monotonic() + seconds
        self.project.wait_s = seconds

    def _hold(self, field_id: str, painted: Painted, reason: str) -> None:
        known = Known(painted.known.base, painted.known.changes)  # what the layer knows goes on
        self._held[field_id] = Painted(painted.labels, known, self), reason

    def _write(self, field_id: str, labels: NDArray[np.uint8], before: NDArray[np.uint8]) -> None:
        if self._deadline is not None:
            self.project.wait_s = max(self._deadline - time.monotonic(), 0.0)
        if not np.array_equal(labels, before):
            self.project.write_edits(field_id, labels, before)

    def _followed(self, labels: Labels, changes: int) -> Labels:
        """Give labels the numbers of the phases as they are now; what is no label at all stays."""
        for table in self._changes[changes:]:
            within = (labels >= 0) & (labels <= EXCLUDED)
            labels = np.where(within, table[np.where(within, labels, 0)], labels)
        return labels

    def _keep(self, field_id: str, painted: Painted, reason: str) -> str:
        path, base = rescue_path(field_id, self.token), painted.known.base
        labels = self._followed(painted.labels, painted.known.changes)
        before = self._followed(base, painted.known.changes)
        if labels.shape != before.shape:
            before = np.zeros_like(labels)
        try:
            keep_copy(path, self.project, field_id, labels, before, reason)
        except PhaseguideError as error:
            return f"A rescue copy could not be kept either: {error}"
        return f"A rescue copy is kept ({path})."


def save_elsewhere(folder: Path, unsaved: Mapping[str, Painted]) -> list[Path]:
    """Write edits as label maps into another folder; nothing there is replaced."""
    written = []
    for field_id, painted in unsaved.items():
        number, path = 1, folder / f"{field_id}_edits.tif"
        while path.exists():
            number += 1
            path = folder / f"{field_id}_edits_{number}.tif"
        write_new(path, label_map_bytes(path, painted.labels))
        written.append(path)
    return written


def _describe(field_id: str, labels: Labels, stray: NDArray[np.bool_], phases: str) -> str:
    told = []
    for value in np.unique(labels[stray]).tolist()[:4]:
        rows, columns = np.nonzero(labels == value)
        told.append(f"label {value} (the first pixel at row {rows[0]}, column {columns[0]})")
    return (
        f"{field_id}: {', '.join(told)} is not saved, since the phases are {phases}. Paint over it or erase it; "
        "everything else of the field is saved."
    )
