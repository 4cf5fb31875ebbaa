"""Segmenting the fields of a project with its current model, from what is known and painted of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from phaseguide.errors import PhaseguideError, ProjectError, as_user_error
from phaseguide.events import Finished, Notice, Progress
from phaseguide.jobs.project.project_results import write_result
from phaseguide.jobs.results import Provenance
from phaseguide.jobs.segment_files import BatchOptions, file_notices, file_settings, open_micrograph
from phaseguide.models.model_file import LoadedModel
from phaseguide.projects.project import Project
from phaseguide.projects.schema import FieldEntry
from phaseguide.ratios import find_source
from phaseguide.segmentation.edits import painted_px
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session
from phaseguide.segmentation.specimen import Field, FieldDone, FieldFailed, segment_fields, teller


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
    runtime: str = "auto",
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
    device, flips, runtime
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
        options = BatchOptions(exclude_info_bar=exclude_info_bar, device=device, flips=flips, runtime=runtime)
        run = _Run(project, _open_model(project), options)
        for event in run.events(ids):
            if isinstance(event, Segmented):
                done.append(event.entry)
            elif isinstance(event, FieldFailed):
                failed[ids[event.index]] = event.error
                event = Notice(str(event.error), ids[event.index])
            yield event
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


class _Run:
    """Opens the fields of a project one after the other, and saves what comes of each."""

    def __init__(self, project: Project, model: LoadedModel, options: BatchOptions) -> None:
        self.project, self.model, self.options = project, model, options

    def events(self, ids: Sequence[str]) -> Iterator[Progress | Notice | Segmented | FieldFailed]:
        fields = [Field(field_id, partial(self._open, field_id), self._request) for field_id in ids]
        for event in segment_fields(
            fields, Request(), teller(fields, lambda index: f"Segmenting {ids[index]}")
        ):
            if isinstance(event, FieldDone):
                try:
                    yield from self._save(event)
                except Exception as error:  # the others go on
                    yield FieldFailed(event.index, as_user_error(error, ids[event.index]))
            elif not isinstance(event, Finished):
                yield event

    def _open(self, field_id: str) -> Session:
        self.entry = self.project.field(field_id)
        if self.entry.state != "unreviewed":
            raise ProjectError(
                f"The field is {self.entry.state}, so its result stays as it is. Reopen it to change it."
            )
        self.micrograph, self.edits = self.project.read_image(field_id), self.project.read_edits(field_id)
        return open_micrograph(
            self.micrograph, self.edits, self.model, self.options, str(self.micrograph.path)
        )

    def _request(self) -> Request:
        ratio = self.entry.ratio
        if ratio is None:
            return Request()
        scope = find_source(ratio.source).scope
        return Request(asked=ratio.asked, uncertainty=ratio.uncertainty, scope=scope)

    def _save(self, done: FieldDone) -> Iterator[Notice | Segmented]:
        ratio, micrograph, session = self.entry.ratio, self.micrograph, done.session
        made = Provenance(
            session.model.used,
            None if ratio is None else find_source(ratio.source).title,
            file_settings(
                session, self._request(), micrograph, self.options, manual_edits=self.edits is not None
            ),
            file_notices(micrograph, self.options),
        )
        segmentation = replace(done.segmentation, edited_px=painted_px(self.edits))
        for message in made.told(segmentation).notices:
            yield Notice(message, self.entry.id)
        yield Segmented(write_result(self.project, self.entry.id, segmentation, made, micrograph))
