"""Phases of a project added, renamed, merged or dropped: every label map follows, in one step.

New maps are written beside the old ones, then ``project.json`` points to them, then the old ones go to the
recycle folder: a process that dies anywhere in between leaves either all old or all new.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ProjectError
from phaseguide.micrographs.label_maps import read_label_map, write_label_map
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.projects import store
from phaseguide.projects.schema import AskedRatio, FieldEntry

if TYPE_CHECKING:
    from phaseguide.projects.project import Project


def change_scheme(project: Project, scheme: PhaseScheme, relabel: Mapping[int, int]) -> None:
    """Carry out `Project.change_scheme`."""
    old = project.scheme
    for before, after in relabel.items():
        if not 1 <= before <= len(old) or not 1 <= after <= len(scheme):
            raise ProjectError(
                f"Label {before} cannot become {after}: the phases were {old.describe()} "
                f"and will be {scheme.describe()}."
            )
    table = np.zeros(256, dtype=np.uint8)
    table[EXCLUDED] = EXCLUDED
    for before, after in relabel.items():
        table[before] = after
    kept = all(relabel.get(p.label) == p.label for p in old)
    replaced: list[Path] = []
    fields = []
    for entry in project.fields:
        moved = entry if kept else _relabelled(project.folder, entry, table, replaced)
        fields.append(_with_shares(moved, len(scheme), len(old), relabel))
    project.replace_file(
        project.file.model_copy(update={"phases": scheme.to_dict()["phases"], "fields": fields})
    )
    for path in replaced:
        store.recycle(project.folder, path)
    project.log("phases changed", phases=list(scheme.names), relabel={str(a): b for a, b in relabel.items()})


def _relabelled(
    folder: Path, entry: FieldEntry, table: NDArray[np.uint8], replaced: list[Path]
) -> FieldEntry:
    update: dict[str, object] = {}
    for kind in ("edits", "truth"):
        path = getattr(entry, kind)
        if path is not None:
            update[kind] = _rewrite(folder, path, table, entry, replaced)
    if entry.result is not None:
        labels = _rewrite(folder, entry.result.labels, table, entry, replaced)
        update["result"] = entry.result.model_copy(update={"labels": labels})
    return entry.model_copy(update=update)


def _rewrite(
    folder: Path, path: str, table: NDArray[np.uint8], entry: FieldEntry, replaced: list[Path]
) -> str:
    old = folder / path
    labels = table[read_label_map(old)]
    base, number = old.stem.partition("~")[0], 1
    while (new := old.with_name(f"{base}~{number}{old.suffix}")).exists():
        number += 1
    write_label_map(new, labels, entry.pixel_size_um)
    replaced.append(old)
    return new.relative_to(folder).as_posix()


def _with_shares(entry: FieldEntry, k: int, k_old: int, relabel: Mapping[int, int]) -> FieldEntry:
    """Add up the shares of merged phases; a phase that is new is open in a ratio and 0 in a result."""
    update: dict[str, object] = {}
    if entry.ratio is not None:
        shares: list[float | None] = [None] * k
        for label in range(1, k_old + 1):
            share, target = entry.ratio.shares[label - 1], relabel.get(label)
            if target is not None and share is not None:
                shares[target - 1] = (shares[target - 1] or 0.0) + share
        update["ratio"] = (
            AskedRatio(**{**entry.ratio.model_dump(), "shares": shares})
            if any(s is not None for s in shares)
            else None
        )
    if entry.result is not None:
        result = update.get("result", entry.result)
        added = {}
        for name in ("own", "achieved"):
            sums = [0.0] * k
            for label, share in enumerate(getattr(entry.result, name), start=1):
                if label in relabel:
                    sums[relabel[label] - 1] += share
            added[name] = sums
        update["result"] = result.model_copy(update=added)  # type: ignore[attr-defined]
    return entry.model_copy(update=update)
