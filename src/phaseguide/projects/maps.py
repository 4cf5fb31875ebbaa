"""Label maps of fields as files: what the user painted, labels taken as truth, the last result with its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ProjectError
from phaseguide.files.json_files import read_json
from phaseguide.labels import where_corrected
from phaseguide.micrographs.label_maps import read_label_map, write_label_map
from phaseguide.micrographs.records import write_record
from phaseguide.projects import store
from phaseguide.projects.change import Change
from phaseguide.projects.places import own_file
from phaseguide.projects.schema import FieldEntry, ResultEntry, field_file

Labels = NDArray[np.uint8]
Kind = Literal["edits", "truth", "result"]


def read(folder: Path, entry: FieldEntry, kind: Kind) -> Labels | None:
    """Read a label map of a field, None if there is none; `ProjectError` for no plain file, or one of another size."""
    if kind == "result":
        path = None if entry.result is None else entry.result.labels
    else:
        path = entry.edits if kind == "edits" else entry.truth
    if path is None:
        return None
    labels = read_label_map(own_file(folder, path))
    _check_shape(labels, entry, f"{folder / path}: the labels")
    return labels


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a result; empty where it is gone or was changed into something else."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def corrected(said: Labels, result: Labels, edits: Labels | None) -> Labels:
    """Return edits with what labels (H, W) say that were corrected elsewhere (`where_corrected`).

    Everywhere else edits stay as they are. `ProjectError` if shapes differ.
    """
    if said.shape != result.shape:
        raise ProjectError(
            f"The labels are {' x '.join(map(str, said.shape))} px, but the result is "
            f"{' x '.join(map(str, result.shape))} px. Labels must match pixel by pixel."
        )
    before = np.zeros_like(result) if edits is None else edits
    return np.where(where_corrected(said, before, result), said, before)


def write_edits(change: Change, field_id: str, edits: Labels, base: Labels | None) -> FieldEntry:
    """Write what a user painted since ``base`` over what is on the disk by now; without a base, the whole map.

    What somebody else painted meanwhile where the user did too is recycled. `ProjectError` if the field is reviewed or
    shapes differ, `SchemeError` for a label that is no phase.
    """
    entry = change.field(field_id)
    _check_open(entry, "its edits stay as they are")
    _check_shape(edits, entry)
    if base is not None:
        _check_shape(base, entry)
        stored = read(change.folder, entry, "edits")
        if stored is not None:
            mine = edits != base
            if np.any(mine & (stored != base) & (stored != edits)):
                change.recycle_copy(field_file("edits", field_id))
            edits = np.where(mine, edits, stored)
    return _put(change, entry, "edits", edits)


def write_truth(change: Change, field_id: str, labels: Labels) -> FieldEntry:
    """Write labels that were corrected elsewhere; earlier ones are recycled. Errors as in `write_edits`."""
    entry = change.field(field_id)
    _check_open(entry, "its truth stays as it is")
    _check_shape(labels, entry)
    if entry.truth is not None and (change.folder / entry.truth).exists():
        change.recycle_copy(entry.truth)
    return _put(change, entry, "truth", labels)


def _put(change: Change, entry: FieldEntry, kind: Literal["edits", "truth"], labels: Labels) -> FieldEntry:
    path = field_file(kind, entry.id)
    _write_labels(change, path, entry, labels)
    entry = entry.model_copy(update={kind: path})
    change.put(entry)
    change.log(f"{kind} saved", field=entry.id, labelled_px=int(np.count_nonzero(labels)))
    return entry


def write_result(
    change: Change, field_id: str, labels: Labels, record: Mapping[str, Any], about: Mapping[str, Any]
) -> FieldEntry:
    """Write a result and its record; ``about`` are the other entries of `ResultEntry`.

    Errors as in `write_edits`; a rejected field refuses too.
    """
    entry = change.field(field_id)
    _check_open(entry, "its result stays as it is")
    if entry.state == "rejected":
        raise ProjectError(f"Field {field_id!r} is rejected ({entry.reason}). Reopen it to segment it.")
    told, shown = field_file("record", field_id), field_file("labels", field_id)
    _check_shape(labels, entry)
    _write_labels(change, shown, entry, labels)
    write_record(change.stage(told), {"labels": PurePosixPath(shown).name, **record})
    entry = entry.model_copy(update={"result": ResultEntry(labels=shown, record=told, **about)})
    change.put(entry)
    return entry


def _check_open(entry: FieldEntry, what: str) -> None:
    if entry.state == "reviewed":
        raise ProjectError(f"Field {entry.id!r} is reviewed, so {what}. Reopen it to change it.")


def _check_shape(labels: Labels, entry: FieldEntry, what: str = "The labels") -> None:
    if labels.shape != entry.shape:
        raise ProjectError(
            f"{what} for field {entry.id!r} are {' x '.join(map(str, labels.shape))} px, but its image is "
            f"{' x '.join(map(str, entry.shape))} px. Labels must match pixel by pixel."
        )


def _write_labels(change: Change, path: str, entry: FieldEntry, labels: Labels) -> None:
    scheme = store.scheme_of(change.file)
    scheme.check_labels(np.unique(labels).tolist(), source=f"field {entry.id!r}")
    write_label_map(change.stage(path), labels, entry.pixel_size_um)
