"""A project that is open: its fields, what is known of them, the versions of its model, its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ProjectError
from phaseguide.files.foreign import resolved
from phaseguide.files.locks import exclusive
from phaseguide.micrographs.reading import Micrograph
from phaseguide.phases import PhaseScheme
from phaseguide.projects import images, journal, maps, phase_undo, places, relabelling, store, versions
from phaseguide.projects.change import WAIT_S, Change, changing, find_field, recovered, starting
from phaseguide.projects.journal import CHANGED, CREATED
from phaseguide.projects.schema import AskedRatio, FieldEntry, ProjectFile, State, VersionEntry

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter

Labels = NDArray[np.uint8]

_LEARNING = "a model is learning in this project already. Wait for it, or stop it first."


class Project:
    """A project; made by `create` or `open`. What lies where in its folder: `phaseguide.projects.places`.

    Every change is on the disk when its method returns, whole or not at all, and then logged. Several threads and
    programs may change one project: a change begins from what is on the disk. What a user or the system can cause
    raises a `PhaseguideError`, most often `ProjectError`; the project is then as it was. ``file`` is what this object
    last read or wrote. ``wait_s`` is how long a change waits for a program that is changing the project too, before it
    raises `ProjectBusyError`; it may be set at any time from any thread, also to shorten a wait under way.
    """

    def __init__(self, folder: Path, file: ProjectFile, wait_s: float = WAIT_S) -> None:
        self.folder, self.file, self.wait_s = folder, file, wait_s

    @classmethod
    def create(cls, folder: str | Path, scheme: PhaseScheme, *, name: str = "", model: str = "") -> Project:
        """Start a project in a folder, which is made if it is missing; `ProjectError` if it holds one.

        Its name is by default the folder's; for ``model`` see `use`.
        """
        folder = resolved(folder)
        phases = scheme.to_dict()["phases"]
        file = ProjectFile(name=name or folder.name, created=journal.now(), phases=phases)
        if model:
            file = file.model_copy(update={"current": versions.checked_name(folder, file, model)})
        starting(folder, file)
        project = cls(folder, file)
        project.log(CREATED, name=file.name, phases=list(scheme.names), model=file.current)
        return project

    @classmethod
    def open(cls, folder: str | Path, *, wait_s: float = WAIT_S) -> Project:
        """Open a project by its folder or ``project.json``; `ProjectError` if it is damaged, unsafe, or newer."""
        folder = Path(folder)
        folder = resolved(folder.parent if folder.name == places.FILE else folder)
        return cls(folder, recovered(folder, wait_s), wait_s)

    # -- what is in it ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.file.name

    @property
    def scheme(self) -> PhaseScheme:
        """The phases of all fields."""
        return store.scheme_of(self.file)

    @property
    def fields(self) -> tuple[FieldEntry, ...]:
        """The fields, in the order in which they were added."""
        return tuple(self.file.fields)

    @property
    def versions(self) -> tuple[VersionEntry, ...]:
        """Models that were kept, oldest first, deleted ones too."""
        return tuple(self.file.versions)

    @property
    def current(self) -> str:
        """Version, zoo name or path of the model in use; empty for none yet."""
        return self.file.current

    def field(self, field_id: str) -> FieldEntry:
        """Return a field; `ProjectError` if there is none of that id."""
        return find_field(self.file, field_id)

    def stale_fields(self) -> tuple[FieldEntry, ...]:
        """Unreviewed fields whose result is of another model than the one in use."""
        return tuple(field for field in self.fields if field.is_stale(self.current))

    def mixed_versions(self) -> set[str]:
        """Models that made the results of the fields that are not rejected, if they are several."""
        used = {f.result.version for f in self.fields if f.result is not None and f.state != "rejected"}
        return used if len(used) > 1 else set()

    # -- images -----------------------------------------------------------------------------------

    def add_field(self, path: str | Path, *, specimen: str = "", detector: str = "") -> FieldEntry:
        """Add an image as a new field.

        It stays where it is and is known by its checksum. `ProjectError` if the project has it already, or it is a
        stack.
        """
        with self.changing() as change:
            reference, image = images.refer(self.folder, path, detector, change.file)
            stem = Path(path).stem
            entry = FieldEntry(
                id=images.free_id(stem, (field.id for field in change.file.fields)),
                specimen=specimen,
                name=stem,
                images=[reference],
                shape=image.data.shape[:2],
                pixel_size_um=image.pixel_size_um,
            )
            change.update(fields=[*change.file.fields, entry])
            change.log("field added", field=entry.id, image=reference.path, specimen=specimen)
        return entry

    def add_image(self, field_id: str, path: str | Path, detector: str) -> FieldEntry:
        """Add the image of another detector to a field; errors as in `add_field`, or another size."""
        with self.changing() as change:
            entry = change.field(field_id)
            reference, image = images.refer(self.folder, path, detector, change.file)
            if image.data.shape[:2] != entry.shape:
                raise ProjectError(
                    f"{path}: is {image.data.shape[0]} x {image.data.shape[1]} px, but field {field_id!r} is "
                    f"{entry.shape[0]} x {entry.shape[1]} px. Images of one field match pixel by pixel."
                )
            entry = entry.model_copy(update={"images": [*entry.images, reference]})
            change.put(entry)
            change.log("image added", field=field_id, image=reference.path, detector=detector)
        return entry

    def read_image(self, field_id: str) -> Micrograph:
        """Read the first image of a field; `ProjectError` if it is gone or was replaced."""
        return images.read_checked(self.folder, self.field(field_id))

    def set_pixel_size(self, field_id: str, size_um: float, source: str) -> FieldEntry:
        """Keep the size of a pixel that the user told of a field, and where it comes from ("typed").

        The maps that are there keep theirs until they are written again.
        """
        with self.changing() as change:
            told = {"pixel_size_um": size_um, "scale_source": source}
            entry = change.field(field_id).model_copy(update=told)
            change.put(entry)
            change.log("pixel size set", field=field_id, **told)
        return entry

    def relink(self, field_id: str, path: str | Path) -> FieldEntry:
        """Say where an image of a field was moved to; `ProjectError` if the file is another one."""
        with self.changing() as change:
            entry = images.relinked(self.folder, change.field(field_id), path)
            change.put(entry)
            change.log("image moved", field=field_id, image=str(path))
        return entry

    # -- what is known of a field -----------------------------------------------------------------

    def set_ratio(self, field_id: str, ratio: AskedRatio | None) -> FieldEntry:
        """Say what is known of a field's composition, or withdraw it; `RatioError` if it cannot be meant."""
        with self.changing() as change:
            ratio = None if ratio is None else ratio.checked(store.scheme_of(change.file))
            entry = change.field(field_id).model_copy(update={"ratio": ratio})
            change.put(entry)
            change.log("ratio", field=field_id, ratio=None if ratio is None else ratio.model_dump())
        return entry

    def review(self, field_id: str) -> FieldEntry:
        """Freeze a field: no prediction, matching or fine-tuning changes it any more."""
        return self._set_state(field_id, "reviewed")

    def reject(self, field_id: str, reason: str) -> FieldEntry:
        """Leave a field out of everything; `ProjectError` without a reason."""
        if not reason.strip():
            raise ProjectError(f"Say why field {field_id!r} is rejected (out of focus, wrong specimen ...).")
        return self._set_state(field_id, "rejected", reason.strip())

    def reopen(self, field_id: str) -> FieldEntry:
        """Make a field unreviewed again."""
        return self._set_state(field_id, "unreviewed")

    def _set_state(self, field_id: str, state: State, reason: str = "") -> FieldEntry:
        with self.changing() as change:
            entry = change.field(field_id).model_copy(update={"state": state, "reason": reason})
            change.put(entry)
            change.log(state, field=field_id, **({"reason": reason} if reason else {}))
        return entry

    # -- label maps -------------------------------------------------------------------------------

    def read_edits(self, field_id: str) -> Labels | None:
        """Read what the user painted on a field, uint8, shape (H, W); None if nothing was saved yet."""
        return maps.read(self.folder, self.field(field_id), "edits")

    def write_edits(self, field_id: str, edits: Labels, base: Labels | None = None) -> FieldEntry:
        """Save what the user painted, shape (H, W).

        Refused for a reviewed field. Only pixels that differ from ``base``, which the writer last read or wrote, are
        written, over what is on the disk now, so that strokes of another program stay. None writes the whole map.
        """
        with self.changing() as change:
            return maps.write_edits(change, field_id, edits, base)

    def read_truth(self, field_id: str) -> Labels | None:
        """Read labels that were corrected elsewhere, uint8, shape (H, W); None if there are none."""
        return maps.read(self.folder, self.field(field_id), "truth")

    def write_truth(self, field_id: str, labels: Labels) -> FieldEntry:
        """Take labels that were corrected elsewhere, shape (H, W), for true; earlier ones are recycled."""
        with self.changing() as change:
            return maps.write_truth(change, field_id, labels)

    def read_result(self, field_id: str) -> Labels | None:
        """Read the last segmentation of a field, uint8, shape (H, W); None if there is none."""
        return maps.read(self.folder, self.field(field_id), "result")

    def write_result(
        self,
        field_id: str,
        labels: Labels,
        record: Mapping[str, Any],
        *,
        version: str,
        model_sha256: str,
        own: list[float],
        achieved: list[float],
        constrained: bool,
    ) -> FieldEntry:
        """Save a segmentation with its record.

        Refused for a reviewed or rejected field. The record is that of `phaseguide.segmentation.saving.make_record`;
        the rest: `ResultEntry`.
        """
        told = {"version": version, "own": own, "achieved": achieved, "constrained": constrained}
        about = {**told, "model_sha256": model_sha256, "time": journal.now()}
        with self.changing() as change:
            entry = maps.write_result(change, field_id, labels, record, about)
            change.log("segmented", field=field_id, **told)
        return entry

    # -- models -----------------------------------------------------------------------------------

    def add_version(
        self,
        segmenter: GuidedSegmenter,
        card: Card,
        *,
        parent: str,
        parent_sha256: str,
        data_sha256: str,
        settings: Mapping[str, Any],
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        note: str = "",
    ) -> VersionEntry:
        """Keep a model as a new version; nothing is overwritten, and it is not in use yet.

        Its card is stored with the version's id. The other values: `phaseguide.projects.schema.VersionEntry`.
        """
        origin = {"parent": parent, "parent_sha256": parent_sha256, "data_sha256": data_sha256, "note": note}
        judged = {"settings": dict(settings), "before": dict(before or {}), "after": dict(after or {})}
        with self.changing() as change:
            entry = versions.add(change, segmenter, card, **origin, **judged)
            change.log("version kept", version=entry.id, sha256=entry.sha256, **origin)
        return entry

    def version_path(self, version_id: str) -> Path:
        """Return the file of a version; `ProjectError` if it was deleted or is gone."""
        return versions.path(self.folder, self.file, version_id)

    def delete_version(self, version_id: str) -> VersionEntry:
        """Move a version's file to the recycle folder; refused for the one in use."""
        with self.changing() as change:
            entry = versions.delete(change, version_id)
            change.log("version deleted", version=version_id, file=entry.file)
        return entry

    def restore_version(self, version_id: str) -> VersionEntry:
        """Bring a deleted version back from the recycle folder."""
        with self.changing() as change:
            entry = versions.restore(change, version_id)
            change.log("version restored", version=version_id)
        return entry

    def use(self, model: str) -> None:
        """Put a model to use: a version, a model by zoo name or path, or "" for none; raises if there is none."""
        with self.changing() as change:
            name = versions.checked_name(self.folder, change.file, model) if model else ""
            change.update(current=name)
            change.log("model in use", model=name)

    def name_of(self, model: str | Path) -> str:
        """Return what the project calls a model: its version, else its zoo name, else its absolute path."""
        return versions.name_of(self.folder, self.file, model)

    def model_path(self) -> Path:
        """Return the file of the model in use; raises if none is chosen or it is gone."""
        if not self.current:
            raise ProjectError(f"{self.name}: no model is in use yet. Choose one (phaseguide project use).")
        return versions.model_path(self.folder, self.file, self.current)

    def change_scheme(
        self, scheme: PhaseScheme, relabel: Mapping[int, int], *, known: PhaseScheme | None = None
    ) -> str:
        """Add, rename, recolour, merge, reorder or drop phases; label maps, ratios and results follow.

        Maps as they were go to the recycle folder. Parameters and what is returned:
        `phaseguide.projects.relabelling.change_phases`. ``known``, if given, are the old phases that ``relabel``
        speaks of; `ProjectError` if the project has others by now.
        """
        with self.changing() as change:
            old = store.scheme_of(change.file)
            step = relabelling.change_phases(change, scheme, relabel, known)
            moves = {str(a): b for a, b in relabel.items()}
            change.log(CHANGED, before=list(old.names), **scheme.to_dict(), relabel=moves)
        return step

    def undo_scheme(self, step: str) -> None:
        """Take back the change of phases that returned ``step``; see `phaseguide.projects.phase_undo.undo_scheme`."""
        with self.changing() as change:
            phase_undo.undo_scheme(change, step)

    # -- training and log -------------------------------------------------------------------------

    def training_folder(self) -> Path:
        """Return the folder of checkpoints, made if it is missing; `ProjectError` if it cannot be."""
        return places.made_folder(self.folder, places.TRAINING)

    def training_lock(self) -> AbstractContextManager[None]:
        """Hold this while a training runs; `ProjectError` if one is under way, in whatever program."""
        return exclusive(self.training_folder() / places.LOCK, f"{self.folder}: {_LEARNING}")

    def log(self, event: str, **details: Any) -> None:
        """Append a line to the log: the time, what happened, and JSON values that tell more."""
        journal.append(self.folder, event, details)

    def read_log(self) -> list[dict[str, Any]]:
        """Read everything that was logged, oldest first; keys ``time`` and ``event`` are in every line."""
        return journal.read(self.folder)

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Change the project, see it onto the disk, then into the log.

        `ProjectError` also where another program changed the phases since this object last read them: what
        was read before speaks of other phases.
        """
        with changing(self.folder, lambda: self.wait_s) as change:
            change.check_phases(self.file)
            yield change
            try:
                change.commit()
            finally:
                self.file = change.file if change.happened else self.file
            for event, details in change.events:
                self.log(event, **details)
