"""A project folder: every change is saved at once, whole or not at all, and then written into the log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.micrographs.label_maps import read_label_map, write_label_map
from phaseguide.micrographs.reading import Micrograph, read_micrograph
from phaseguide.micrographs.records import sha256_of_file, write_record
from phaseguide.phases import PhaseScheme
from phaseguide.projects import journal, relabelling, store
from phaseguide.projects.lock import exclusive
from phaseguide.projects.schema import (
    AskedRatio,
    FieldEntry,
    ImageRef,
    ProjectFile,
    ResultEntry,
    VersionEntry,
)

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter

Labels = NDArray[np.uint8]


class Project:
    """A project that is open; made by `create` or `open`.

    Its folder holds ``project.json``, ``log.jsonl``, ``edits/``, ``truth/``, ``results/`` (label maps),
    ``models/`` (versions), ``training/`` (checkpoints) and ``recycle/`` (what was deleted or replaced).
    Errors are `ProjectError` with a sentence; after one, the folder is what it was before.
    """

    def __init__(self, folder: Path, file: ProjectFile) -> None:
        self.folder, self.file = folder, file

    @classmethod
    def create(cls, folder: str | Path, scheme: PhaseScheme, *, name: str = "", model: str = "") -> Project:
        """Start a project in a folder, which is made if it is missing.

        Parameters
        ----------
        folder : path
        scheme : PhaseScheme
        name : str
            Default: that of the folder.
        model : str
            Zoo name or path of the model in use.
        """
        folder = Path(folder).resolve()
        if (folder / store.FILE).exists():
            raise ProjectError(f"{folder}: holds a project already. Open it, or choose another folder.")
        file = ProjectFile(
            name=name or folder.name,
            created=journal.now(),
            phases=scheme.to_dict()["phases"],
            current=model,
        )
        store.write_file(folder, file)
        project = cls(folder, file)
        project.log("created", name=file.name, phases=list(scheme.names), model=model)
        return project

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """Open a project; its folder, or its ``project.json``, may be given."""
        folder = Path(folder).resolve()
        folder = folder.parent if folder.name == store.FILE else folder
        project = cls(folder, store.read_file(folder))
        project.scheme  # noqa: B018 (a bad one is told now, not in the middle of work)
        return project

    # -- what is in it ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.file.name

    @property
    def scheme(self) -> PhaseScheme:
        """The phases of all fields."""
        return PhaseScheme.from_dict({"phases": self.file.phases}, source=str(self.folder / store.FILE))

    @property
    def fields(self) -> tuple[FieldEntry, ...]:
        """The fields, in the order in which they were added."""
        return tuple(self.file.fields)

    @property
    def versions(self) -> tuple[VersionEntry, ...]:
        """Models that were kept, oldest first; deleted ones are told by `VersionEntry.deleted`."""
        return tuple(self.file.versions)

    @property
    def current(self) -> str:
        """Version, zoo name or path of the model in use; empty for none yet."""
        return self.file.current

    def field(self, field_id: str) -> FieldEntry:
        """Return a field."""
        for entry in self.file.fields:
            if entry.id == field_id:
                return entry
        known = ", ".join(entry.id for entry in self.file.fields) or "none yet"
        raise ProjectError(f"{self.name}: there is no field {field_id!r}. Fields: {known}.")

    # -- fields -----------------------------------------------------------------------------------

    def add_field(
        self,
        path: str | Path,
        *,
        specimen: str = "",
        detector: str = "",
        ratio: AskedRatio | None = None,
    ) -> FieldEntry:
        """Add an image as a new field. It stays where it is and is known by its checksum.

        Raises
        ------
        ProjectError
            The image is a field already, or its ratio has another number of phases.
        MicrographError
            It cannot be read.
        """
        path = Path(path).resolve()
        image = read_micrograph(path)
        reference = self._reference(path, detector)
        for entry in self.file.fields:
            if any(known.sha256 == reference.sha256 for known in entry.images):
                raise ProjectError(f"{path}: is in the project already, as field {entry.id!r}.")
        self._check_ratio(ratio)
        entry = FieldEntry(
            id=self._free_id(path.stem),
            specimen=specimen,
            name=path.stem,
            images=[reference],
            pixel_size_um=image.pixel_size_um,
            ratio=ratio,
        )
        self._save(fields=[*self.file.fields, entry])
        self.log("field added", field=entry.id, image=reference.path, specimen=specimen)
        return entry

    def add_image(self, field_id: str, path: str | Path, detector: str) -> FieldEntry:
        """Add another detector's image of the same field."""
        entry, path = self.field(field_id), Path(path).resolve()
        there, more = self.read_image(field_id), read_micrograph(path)
        if there.data.shape[:2] != more.data.shape[:2]:
            raise ProjectError(
                f"{path}: is {more.data.shape[0]} x {more.data.shape[1]} px, but field {field_id!r} is "
                f"{there.data.shape[0]} x {there.data.shape[1]} px. Images of one field match pixel by pixel."
            )
        images = [*entry.images, self._reference(path, detector)]
        return self._change(entry, "image added", {"image": images[-1].path}, images=images)

    def read_image(self, field_id: str) -> Micrograph:
        """Read the first image of a field.

        Raises
        ------
        ProjectError
            The file is gone, or is not what it was when it was added.
        """
        reference = self.field(field_id).images[0]
        path = self._resolve(reference.path)
        if not path.is_file():
            raise ProjectError(
                f"{path}: the image of field {field_id!r} is gone. Put it back there; edits and results are safe."
            )
        if sha256_of_file(path) != reference.sha256:
            raise ProjectError(
                f"{path}: is not the image that field {field_id!r} was made of (its checksum differs). Put the "
                "old one back, or add this one as a new field."
            )
        return read_micrograph(path)

    def set_ratio(self, field_id: str, ratio: AskedRatio | None) -> FieldEntry:
        """Say what is known of a field's composition, or withdraw it."""
        self._check_ratio(ratio)
        told = None if ratio is None else ratio.model_dump()
        return self._change(self.field(field_id), "ratio", {"ratio": told}, ratio=ratio)

    def review(self, field_id: str) -> FieldEntry:
        """Freeze a field: no prediction, matching or fine-tuning changes it any more."""
        return self._change(self.field(field_id), "reviewed", {}, state="reviewed", reason="")

    def reject(self, field_id: str, reason: str) -> FieldEntry:
        """Leave a field out of everything, for a reason."""
        if not reason.strip():
            raise ProjectError(f"Say why field {field_id!r} is rejected (out of focus, wrong specimen ...).")
        told = {"reason": reason.strip()}
        return self._change(self.field(field_id), "rejected", told, state="rejected", **told)

    def reopen(self, field_id: str) -> FieldEntry:
        """Make a field unreviewed again."""
        return self._change(self.field(field_id), "reopened", {}, state="unreviewed", reason="")

    # -- label maps -------------------------------------------------------------------------------

    def read_edits(self, field_id: str) -> Labels | None:
        """What the user painted on a field, (H, W); None if nothing was saved yet."""
        return self._read_map(self.field(field_id).edits)

    def write_edits(self, field_id: str, edits: Labels) -> FieldEntry:
        """Save what the user painted. Refused for a reviewed field."""
        return self._write_map(field_id, "edits", edits)

    def read_truth(self, field_id: str) -> Labels | None:
        """Labels of a field that were corrected elsewhere, (H, W); None if there are none."""
        return self._read_map(self.field(field_id).truth)

    def write_truth(self, field_id: str, labels: Labels) -> FieldEntry:
        """Take in labels that were corrected elsewhere. Refused for a reviewed field."""
        return self._write_map(field_id, "truth", labels)

    def read_result(self, field_id: str) -> Labels | None:
        """The last segmentation of a field, (H, W); None if there is none."""
        result = self.field(field_id).result
        return None if result is None else self._read_map(result.labels)

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
        """Save a segmentation with its record. Refused for a field that is reviewed or rejected.

        Parameters
        ----------
        labels : ndarray of uint8, shape (H, W)
        record : mapping
            As `phaseguide.segmentation.saving.make_record` makes it.
        version, model_sha256, own, achieved, constrained
            See `ResultEntry`.
        """
        entry = self._open_field(field_id, "its result")
        if entry.state == "rejected":
            raise ProjectError(f"Field {field_id!r} is rejected ({entry.reason}). Reopen it to segment it.")
        maps, told = f"results/{field_id}_labels.tif", f"results/{field_id}.json"
        self._write(maps, labels, entry)
        result = ResultEntry(
            labels=maps, record=told, version=version, model_sha256=model_sha256, own=own,
            achieved=achieved, constrained=constrained, time=journal.now(),
        )  # fmt: skip
        write_record(self.folder / told, {"labels": Path(maps).name, **record})
        details = {"version": version, "own": own, "achieved": achieved, "constrained": constrained}
        return self._change(entry, "segmented", details, result=result)

    def stale_fields(self) -> tuple[FieldEntry, ...]:
        """Unreviewed fields whose result is of another model than the one in use."""
        return tuple(
            f
            for f in self.file.fields
            if f.state == "unreviewed" and f.result is not None and f.result.version != self.current
        )

    def mixed_versions(self) -> set[str]:
        """Models that the results of all fields that count were made by, if there are several."""
        used = {f.result.version for f in self.file.fields if f.result and f.state != "rejected"}
        return used if len(used) > 1 else set()

    # -- versions of the model --------------------------------------------------------------------

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
        """Keep a model as a new version; nothing is overwritten, and it is not in use yet."""
        from phaseguide.models.model_file import save_model

        number = len(self.file.versions) + 1
        while (path := self.folder / f"models/v{number:03d}.safetensors").exists():
            number += 1
        name = f"v{number:03d}"
        save_model(path, segmenter, card.model_copy(update={"version": name}))
        version = VersionEntry(
            id=name, file=f"models/{path.name}", sha256=sha256_of_file(path), parent=parent,
            parent_sha256=parent_sha256, data_sha256=data_sha256, settings=dict(settings),
            before=dict(before or {}), after=dict(after or {}), created=journal.now(), note=note,
        )  # fmt: skip
        self._save(versions=[*self.file.versions, version])
        self.log("version kept", version=name, parent=parent, data=data_sha256)
        return version

    def version(self, version_id: str) -> VersionEntry:
        """Return a version."""
        for entry in self.file.versions:
            if entry.id == version_id:
                return entry
        known = ", ".join(entry.id for entry in self.file.versions) or "none yet"
        raise ProjectError(f"{self.name}: there is no version {version_id!r}. Versions: {known}.")

    def version_path(self, version_id: str) -> Path:
        """File of a version."""
        entry = self.version(version_id)
        path = self.folder / entry.file
        if not path.is_file():
            where = f" It was deleted to {store.RECYCLE}." if entry.deleted else ""
            raise ProjectError(f"{path}: the model of version {version_id} is not there.{where}")
        return path

    def model_path(self) -> Path:
        """File of the model in use."""
        from phaseguide.models.zoo import find_model

        if not self.current:
            raise ProjectError(f"{self.name}: no model is chosen yet. Choose one in the Segment widget.")
        if any(v.id == self.current for v in self.file.versions):
            return self.version_path(self.current)
        return find_model(self.current)

    def use(self, model: str) -> None:
        """Put a version, or a model by zoo name or path, to use."""
        if any(v.id == model for v in self.file.versions):
            self.version_path(model)
        self._save(current=model)
        self.log("model in use", model=model)

    def delete_version(self, version_id: str) -> None:
        """Move a version's file to the recycle folder. The one in use is not deleted."""
        entry = self.version(version_id)
        if version_id == self.current:
            raise ProjectError(f"Version {version_id} is in use. Put another one to use first.")
        store.recycle(self.folder, self.folder / entry.file)
        gone = entry.model_copy(update={"deleted": True})
        self._save(versions=[gone if v.id == version_id else v for v in self.file.versions])
        self.log("version deleted", version=version_id)

    def change_scheme(self, scheme: PhaseScheme, relabel: Mapping[int, int]) -> None:
        """Add, rename, recolour, merge or drop phases; all label maps follow at once.

        Parameters
        ----------
        scheme : PhaseScheme
        relabel : mapping of int to int
            New label of each old one; labels of phases that are missing in it become not classified.
        """
        relabelling.change_scheme(self, scheme, relabel)

    # -- training, log ----------------------------------------------------------------------------

    def training_folder(self) -> Path:
        """Folder of checkpoints, made if it is missing."""
        folder = self.folder / "training"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ProjectError(f"{folder}: cannot be made ({error.strerror or error}).") from error
        return folder

    def training_lock(self) -> AbstractContextManager[None]:
        """Hold while a training runs; `ProjectError` where one is under way already."""
        return exclusive(self.folder / "training" / "lock.json", "A training")

    def log(self, event: str, **details: Any) -> None:
        """Append to the log."""
        journal.append(self.folder, event, details)

    def read_log(self) -> list[dict[str, Any]]:
        """Everything that was logged, oldest first."""
        return journal.read(self.folder)

    # -- inside -----------------------------------------------------------------------------------

    def replace_file(self, file: ProjectFile) -> None:
        """Save a whole new state; for the modules of this package."""
        store.write_file(self.folder, file)
        self.file = file

    def _save(self, **update: Any) -> None:
        self.replace_file(self.file.model_copy(update=update))

    def _change(self, entry: FieldEntry, event: str, details: dict[str, Any], **update: Any) -> FieldEntry:
        changed = entry.model_copy(update=update)
        self._save(fields=[changed if f.id == entry.id else f for f in self.file.fields])
        self.log(event, field=entry.id, **details)
        return changed

    def _open_field(self, field_id: str, what: str) -> FieldEntry:
        entry = self.field(field_id)
        if entry.state == "reviewed":
            raise ProjectError(
                f"Field {field_id!r} is reviewed, so {what} stay as they are. Reopen it to change them."
            )
        return entry

    def _write_map(self, field_id: str, kind: str, labels: Labels) -> FieldEntry:
        entry = self._open_field(field_id, f"its {kind}")
        self.scheme.check_labels(np.unique(labels).tolist(), source=f"field {field_id!r}, {kind}")
        path = getattr(entry, kind) or f"{kind}/{field_id}_{kind}.tif"
        self._write(path, labels, entry)
        if getattr(entry, kind) == path:
            return entry
        return self._change(entry, f"{kind} saved", {}, **{kind: path})

    def _write(self, path: str, labels: Labels, entry: FieldEntry) -> None:
        write_label_map(self.folder / path, labels, entry.pixel_size_um)

    def _read_map(self, path: str | None) -> Labels | None:
        return None if path is None else read_label_map(self.folder / path)

    def _reference(self, path: Path, detector: str) -> ImageRef:
        inside = path.is_relative_to(self.folder)
        text = path.relative_to(self.folder).as_posix() if inside else str(path)
        return ImageRef(path=text, sha256=sha256_of_file(path), detector=detector)

    def _resolve(self, path: str) -> Path:
        return Path(path) if os.path.isabs(path) else self.folder / path

    def _check_ratio(self, ratio: AskedRatio | None) -> None:
        if ratio is not None and len(ratio.shares) != len(self.file.phases):
            raise PhaseguideError(
                f"A ratio of {len(ratio.shares)} phases was given, but the project's are {self.scheme.describe()}."
            )

    def _free_id(self, stem: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "field"
        taken = {entry.id.lower() for entry in self.file.fields}
        number, free = 1, base
        while free.lower() in taken:
            number += 1
            free = f"{base}-{number}"
        return free
