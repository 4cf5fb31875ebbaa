"""Segmenting the fields of a project with its current model, from what is known and painted of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from phaseguide.errors import PhaseguideError, ProjectError, as_user_error
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.margins import NO_MARGINS
from phaseguide.micrographs.reading import Micrograph
from phaseguide.models.model_file import LoadedModel
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio, FieldEntry
from phaseguide.ratios import find_source
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.saving import make_record
from phaseguide.segmentation.session import Session


@dataclass(frozen=True)
class Segmented:
    """A field has a new result in the project."""

    entry: FieldEntry


@dataclass(frozen=True)
class Rerun:
    """What came of a run.

    Attributes
    ----------
    done : tuple of FieldEntry
        With their new results.
    failed : mapping of str to PhaseguideError
        By id of the field; a notice told of each.
    """

    done: tuple[FieldEntry, ...]
    failed: Mapping[str, PhaseguideError]


RerunEvent = Progress | Notice | Segmented | Finished[Rerun]


def fields_to_run(project: Project) -> tuple[FieldEntry, ...]:
    """Return the unreviewed fields that have no result of the current model."""
    return tuple(field for field in project.fields if field.is_due(project.current))


def rerun(
    project: Project,
    field_ids: Sequence[str] | None = None,
    *,
    device: str = "auto",
    flips: bool | None = None,
    exclude_info_bar: bool = True,
) -> Iterator[RerunEvent]:
    """Segment fields and save the results in the project; stop it by closing the generator.

    Each field is matched to its own ratio, if it has one, and keeps its edits. A field that fails does not
    stop the others.

    Parameters
    ----------
    project : Project
    field_ids : sequence of str, optional
        None: those of `fields_to_run`.
    device, flips
        See `phaseguide.segmentation.session.Session`.
    exclude_info_bar : bool
        Leave a detected information bar out of every area share.

    Yields
    ------
    Progress, Notice
        While working.
    Segmented
        After each field whose result is in the project.
    Finished of Rerun
        Last.

    Raises
    ------
    ProjectError
        No model is in use, or its phases are not the project's.
    ModelError
        The model cannot be loaded.
    """
    ids = [field.id for field in fields_to_run(project)] if field_ids is None else list(field_ids)
    done: list[FieldEntry] = []
    failed: dict[str, PhaseguideError] = {}
    if ids:
        yield Progress("Loading the model", 0, 0)
        model = _open_model(project)
    for index, field_id in enumerate(ids):
        at = Progress(f"Segmenting {field_id}", index, len(ids))
        yield at
        try:
            for event in _segment(project, field_id, model, device, flips, exclude_info_bar):
                if isinstance(event, Segmented):
                    done.append(event.entry)
                yield at if isinstance(event, Progress) and len(ids) > 1 else event
        except Exception as error:  # whatever is wrong with one field, the others go on
            told = as_user_error(error, field_id)
            failed[field_id] = told
            yield Notice(f"{field_id}: {told}")
    yield Finished(Rerun(tuple(done), failed))


def _open_model(project: Project) -> LoadedModel:
    from phaseguide.models.zoo import open_model

    model = open_model(project.model_path())
    if model.card.scheme.names != project.scheme.names:
        raise ProjectError(
            f"Model {project.current} knows the phases {model.card.scheme.describe()}, but those of the project are "
            f"{project.scheme.describe()}. Use another model, or fine-tune this one for these phases."
        )
    return model


def _segment(
    project: Project,
    field_id: str,
    model: LoadedModel,
    device: str,
    flips: bool | None,
    exclude_info_bar: bool,
) -> Iterator[Progress | Notice | Segmented]:
    entry = project.field(field_id)
    if entry.state != "unreviewed":
        raise ProjectError(
            f"The field is {entry.state}, so its result stays as it is. Reopen it to change it."
        )
    micrograph, edits = project.read_image(field_id), project.read_edits(field_id)
    margins = micrograph.margins if exclude_info_bar else NO_MARGINS
    session = Session(
        model,
        micrograph.data,
        edits=margins.exclude(edits, micrograph.data.shape[:2]),
        device=device,
        flips=flips,
        name=str(micrograph.path),
        pixel_size_um=micrograph.pixel_size_um,
    )
    segmentation: Segmentation | None = None
    for event in session.segment(_request(entry.ratio)):
        if isinstance(event, Finished):
            segmentation = event.result
        elif isinstance(event, Notice):
            yield Notice(f"{field_id}: {event.message}")
        elif isinstance(event, Progress):
            yield event
    assert segmentation is not None
    told = (*micrograph.notices, *margins.notices(), *segmentation.notices)
    segmentation = replace(segmentation, notices=told)
    for message in segmentation.notices:
        yield Notice(f"{field_id}: {message}")
    settings = {"manual_edits": edits is not None, "exclude_info_bar": exclude_info_bar, **margins.settings()}
    yield Segmented(_save(project, entry, segmentation, session, micrograph, settings))


def _request(ratio: AskedRatio | None) -> Request:
    if ratio is None:
        return Request()
    scope = find_source(ratio.source).scope
    return Request(asked=ratio.asked, uncertainty=ratio.uncertainty, scope=scope)


def _save(
    project: Project,
    entry: FieldEntry,
    segmentation: Segmentation,
    session: Session,
    micrograph: Micrograph,
    settings: dict[str, Any],
) -> FieldEntry:
    record = make_record(
        segmentation,
        session.model,
        micrograph.path,
        micrograph.data,
        micrograph.pixel_size_um,
        image_sha256=micrograph.sha256,
        source=None if entry.ratio is None else find_source(entry.ratio.source).title,
        settings={
            "device": f"{session.device.kind}: {session.device.name}",
            "views": [view.model_dump() for view in session.views],
            **settings,
        },
    )
    return project.write_result(
        entry.id,
        segmentation.labels,
        record,
        version=project.name_of(session.model.path),
        model_sha256=record["model"]["sha256"],
        own=segmentation.own.tolist(),
        achieved=segmentation.achieved.tolist(),
        constrained=segmentation.constrained,
    )
