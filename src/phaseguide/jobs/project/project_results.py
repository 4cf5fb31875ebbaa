"""Results on the fields of a project: from what the Segment widget keeps to files. Runs in a worker thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.errors import ProjectError
from phaseguide.jobs.inputs import FIELD, Inputs
from phaseguide.jobs.results import Provenance
from phaseguide.labels import Map, area_shares
from phaseguide.segmentation.edits import painted_px
from phaseguide.segmentation.request import Segmentation

if TYPE_CHECKING:
    from phaseguide.micrographs.reading import Micrograph
    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.edit_saver import EditSaver
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry


@dataclass(frozen=True)
class Kept:
    """A result that the Segment widget keeps on the image of a field."""

    field_id: str
    segmentation: Segmentation
    made: Provenance
    inputs: Inputs


def store(project: Project, kept: Kept) -> None:
    """Write a result into the project, and with it the ratio that the user gave for this field.

    Raises
    ------
    ProjectError
        The field is reviewed, its image was replaced, or the model has other phases.
    """
    done, made = kept.segmentation, kept.made
    check_phases(project, done.scheme, made.model.card.name)
    write_result(project, kept.field_id, done, made, project.read_image(kept.field_id))
    if done.asked is not None and kept.inputs.scope == FIELD:
        from phaseguide.projects.schema import AskedRatio

        spread = done.uncertainty
        shares = [None if np.isnan(share) else float(share) for share in done.asked]
        # A project keeps one number; the least sure of the phases is the safe one.
        uncertainty = max(spread) if isinstance(spread, tuple) else float(spread or 0.0)
        project.set_ratio(
            kept.field_id, AskedRatio(shares=shares, uncertainty=uncertainty, source=kept.inputs.source)
        )
    if not project.current:
        project.use(project.name_of(made.model.path))


def write_result(
    project: Project, field_id: str, done: Segmentation, made: Provenance, micrograph: Micrograph
) -> FieldEntry:
    """Write a result of a field with its record into the project.

    Raises
    ------
    ProjectError
        The field is reviewed, or its image was replaced.
    """
    from phaseguide.segmentation.saving import make_record

    record = make_record(
        made.told(done),
        made.model,
        micrograph.path,
        micrograph.data,
        micrograph.pixel_size_um,
        image_sha256=micrograph.sha256,
        scale_source=micrograph.scale_source,
        source=made.source,
        settings=made.settings,
    )
    return project.write_result(
        field_id,
        done.labels,
        record,
        version=project.name_of(made.model.path),
        model_sha256=record["model"]["sha256"],
        own=[float(share) for share in done.own],
        achieved=[float(share) for share in done.achieved],
        constrained=done.constrained,
    )


def freeze_as_shown(saver: EditSaver, field_id: str, shown: Map | None) -> None:
    """Mark a field as reviewed; the map that was reviewed, edits on top, becomes its result.

    The edits were written before, since a reviewed field takes none.

    Raises
    ------
    ProjectError
        They could not be written. The field is not reviewed then.
    """
    from phaseguide.projects.maps import read_record

    saver.check(field_id)
    project = saver.project
    entry = project.field(field_id).result
    if entry is not None and shown is not None:
        stored = project.read_result(field_id)
        if stored is None or not np.array_equal(stored, shown):
            achieved = [float(share) for share in area_shares(shown, len(project.scheme))]
            record = {
                **read_record(project.folder / entry.record),
                "edits_on_top": True,
                "manual_edits_px": painted_px(project.read_edits(field_id)),
            }
            project.write_result(
                field_id,
                shown,
                _with_areas(record, achieved),
                version=entry.version,
                model_sha256=entry.model_sha256,
                own=list(entry.own),
                achieved=achieved,
                constrained=entry.constrained,
            )
    project.review(field_id)


def check_phases(project: Project, scheme: PhaseScheme, model_name: str) -> None:
    """Raise `ProjectError` if a model's phases are not those of the project."""
    if scheme.names != project.scheme.names:
        raise ProjectError(
            f"{project.file.name}: its phases are {project.scheme.describe()}, but model {model_name!r} has "
            f"{scheme.describe()}. The result is on show and was not written into the project. Choose a model "
            "of the same phases."
        )


def _with_areas(record: dict[str, Any], achieved: list[float]) -> dict[str, Any]:
    rows = record.get("phases")
    if not isinstance(rows, list) or len(rows) != len(achieved):
        return record
    # Boundaries moved with the edits, so what one pixel more or less means is no longer known.
    changed = [
        {**row, "achieved": share, "eroded": None, "dilated": None}
        for row, share in zip(rows, achieved, strict=True)
    ]
    return {**record, "phases": changed}
