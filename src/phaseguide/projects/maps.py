"""Label maps of fields as files: what the user painted, labels taken as truth, the last result with its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ProjectError
from phaseguide.json_files import read_json
from phaseguide.micrographs.label_maps import read_label_map, write_label_map
from phaseguide.micrographs.records import write_record
from phaseguide.phases import NOT_CLASSIFIED
from phaseguide.projects import places, store
from phaseguide.projects.change import Change
from phaseguide.projects.schema import FieldEntry, ResultEntry
from phaseguide.segmentation.saving import result_files

Labels = NDArray[np.uint8]
Kind = Literal["edits", "truth"]


def read(folder: Path, path: str | None) -> Labels | None:
    """Read a label map of a field; None if there is none."""
    return None if path is None else read_label_map(places.own_file(folder, path))


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a result; empty where it is gone or was changed into something else."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def corrected(said: Labels, result: Labels, edits: Labels | None) -> Labels:
    """Return edits with what labels say that were corrected elsewhere, only where they differ from the map.

    Parameters
    ----------
    said : ndarray of uint8, shape (H, W)
        The corrected labels; 0 says nothing.
    result : ndarray of uint8, shape (H, W)
        The map; with the edits on top it is what was corrected.
    edits : ndarray of uint8, shape (H, W), or None
        What the user painted before; stays where ``said`` does not differ.

    Raises
    ------
    ProjectError
        The labels have another shape.
    """
    if said.shape != result.shape:
        raise ProjectError(
            f"The labels are {' x '.join(map(str, said.shape))} px, but the result is "
            f"{' x '.join(map(str, result.shape))} px. Labels must match pixel by pixel."
        )
    before = np.zeros_like(result) if edits is None else edits
    shown = np.where(before == NOT_CLASSIFIED, result, before)
    return np.where((said != NOT_CLASSIFIED) & (said != shown), said, before)


def write(change: Change, field_id: str, kind: Kind, labels: Labels) -> FieldEntry:
    """Write what a user says of a field.

    Raises
    ------
    ProjectError
        The field is reviewed, or the labels have another shape.
    SchemeError
        A label that is no phase of the project.
    """
    entry = change.field(field_id)
    _check_open(entry, f"its {kind} stay as they are" if kind == "edits" else "its truth stays as it is")
    path = f"{kind}/{field_id}_{kind}.tif"
    _write_labels(change, path, entry, labels)
    entry = entry.model_copy(update={kind: path})
    change.put(entry)
    return entry


def write_result(
    change: Change, field_id: str, labels: Labels, record: Mapping[str, Any], about: Mapping[str, Any]
) -> FieldEntry:
    """Write a result and its record; ``about`` are the other entries of `ResultEntry`.

    Raises
    ------
    ProjectError
        The field is reviewed or rejected, or the labels have another shape.
    SchemeError
        A label that is no phase of the project.
    """
    entry = change.field(field_id)
    _check_open(entry, "its result stays as it is")
    if entry.state == "rejected":
        raise ProjectError(f"Field {field_id!r} is rejected ({entry.reason}). Reopen it to segment it.")
    files = result_files("results", field_id)
    told, shown = files.record.as_posix(), files.labels.as_posix()
    _write_labels(change, shown, entry, labels)
    write_record(change.stage(told), {"labels": files.labels.name, **record})
    entry = entry.model_copy(update={"result": ResultEntry(labels=shown, record=told, **about)})
    change.put(entry)
    return entry


def _check_open(entry: FieldEntry, what: str) -> None:
    if entry.state == "reviewed":
        raise ProjectError(f"Field {entry.id!r} is reviewed, so {what}. Reopen it to change it.")


def _write_labels(change: Change, path: str, entry: FieldEntry, labels: Labels) -> None:
    if labels.shape != entry.shape:
        raise ProjectError(
            f"The labels for field {entry.id!r} are {' x '.join(map(str, labels.shape))} px, but its image is "
            f"{' x '.join(map(str, entry.shape))} px. Labels must match pixel by pixel."
        )
    scheme = store.scheme_of(change.file)
    scheme.check_labels(np.unique(labels).tolist(), source=f"field {entry.id!r}")
    write_label_map(change.stage(path), labels, entry.pixel_size_um)
