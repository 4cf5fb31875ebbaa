"""Phases of a project added, renamed, merged or dropped: every label map, ratio and result follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ProjectError
from phaseguide.labels import relabel_table
from phaseguide.micrographs.label_maps import write_label_map
from phaseguide.micrographs.records import write_record
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme
from phaseguide.projects import phase_undo, store
from phaseguide.projects.change import Change
from phaseguide.projects.maps import Kind, read, read_record
from phaseguide.projects.schema import AskedRatio, FieldEntry, field_file


def change_phases(
    change: Change, scheme: PhaseScheme, relabel: Mapping[int, int], known: PhaseScheme | None
) -> str:
    """Give a project other phases; label maps as they were go to the recycle folder.

    Reviewed fields follow too: what was reviewed stays the same, under other numbers. A phase that is missing in
    ``relabel``, or goes to 0, becomes not classified. ``known`` are the old phases that it speaks of, where that is
    not certain. Returns what undoes the change (`phaseguide.projects.phase_undo.undo_scheme`); empty where only names
    or colours change. `ProjectError` for a label that neither the old nor the new phases have.
    """
    before, old = change.file, store.scheme_of(change.file)
    if known is not None and known.names != old.names:
        raise ProjectError(
            f"{before.name}: its phases are {old.describe()} by now, no longer {known.describe()}. They were not "
            "changed. Look at them, then change them again."
        )
    table = _table(relabel, old, scheme)
    staged: list[str] = []
    fields = [_follow(change, entry, table, old, scheme, staged) for entry in before.fields]
    change.update(phases=scheme.to_dict()["phases"], fields=fields)
    same = len(old) == len(scheme) and all(table[phase.label] == phase.label for phase in old)
    return "" if same else phase_undo.remember(change, before, staged)


def _table(relabel: Mapping[int, int], old: PhaseScheme, new: PhaseScheme) -> NDArray[np.uint8]:
    """New value of each of the 256 values of a label map."""
    for before, after in relabel.items():
        if not 1 <= before <= len(old) or not NOT_CLASSIFIED <= after <= len(new):
            raise ProjectError(
                f"Label {before} cannot become {after}: the phases are {old.describe()}, and they would be "
                f"{new.describe()}."
            )
    nothing = dict.fromkeys(range(1, EXCLUDED), NOT_CLASSIFIED)
    return relabel_table({**nothing, **relabel})


def _follow(
    change: Change,
    entry: FieldEntry,
    table: NDArray[np.uint8],
    old: PhaseScheme,
    new: PhaseScheme,
    staged: list[str],
) -> FieldEntry:
    """Rewrite the label maps of a field, adding their paths to ``staged``, and return its entry."""
    targets = [int(label) for label in table[1 : len(old) + 1]]
    result = entry.result
    if targets != [phase.label for phase in old]:
        kinds: tuple[Kind, ...] = ("edits", "truth", "result")
        for kind in kinds:
            labels = read(change.folder, entry, kind)
            if labels is not None:
                path = field_file("labels" if kind == "result" else kind, entry.id)
                change.recycle_copy(path)
                write_label_map(change.stage(path), table[labels], entry.pixel_size_um)
                staged.append(path)
        if result is not None:
            if (change.folder / result.record).is_file():
                change.recycle_copy(result.record)
                staged.append(result.record)
            _tell_record(change, result.record, targets, new)
    update: dict[str, object] = {}
    if entry.ratio is not None:
        update["ratio"] = follow_ratio(entry.ratio, targets, len(new))
    if result is not None:
        own, achieved = (_sums(shares, targets, len(new)) for shares in (result.own, result.achieved))
        update["result"] = result.model_copy(update={"own": own, "achieved": achieved})
    return entry.model_copy(update=update)


def _tell_record(change: Change, path: str, targets: Sequence[int], new: PhaseScheme) -> None:
    """Add to a record what became of its labels; what it tells of how the map was made stays."""
    record = read_record(change.folder / path)
    before = record.get("relabelled")
    step = {"new_label": {str(label): t for label, t in enumerate(targets, start=1)}, **new.to_dict()}
    write_record(
        change.stage(path), {**record, "relabelled": [*(before if isinstance(before, list) else []), step]}
    )


def follow_ratio(ratio: AskedRatio, targets: Sequence[int], k_new: int) -> AskedRatio | None:
    """Add up the shares of merged phases; a phase that is new, or has an open part, is open.

    None where the ratio says nothing any more, or a phase is dropped that the field may have: nobody
    knows what its pixels are now.
    """
    parents: list[list[float | None]] = [[] for _ in range(k_new)]
    for share, target in zip(ratio.shares, targets, strict=True):
        if target:
            parents[target - 1].append(share)
        elif share != 0:
            return None
    shares = [None if not given or None in given else sum(filter(None, given)) for given in parents]
    if all(share is None for share in shares):
        return None
    return ratio.model_copy(update={"shares": shares})


def _sums(shares: Sequence[float], targets: Sequence[int], k_new: int) -> list[float]:
    """Add up the shares of merged phases; a phase that is new has none."""
    sums = [0.0] * k_new
    for share, target in zip(shares, targets, strict=True):
        if target:
            sums[target - 1] += share
    return sums
