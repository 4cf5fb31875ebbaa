"""What the rows of the table of sources stand for: closures that read images and labels in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DatasetError, PhaseguideError
from phaseguide.finetuning.sources import (
    Kind,
    Source,
    merge_labels,
    sources_from_dataset,
    sources_from_project,
)
from phaseguide.jobs.finetune_start import as_labels
from phaseguide.jobs.plane_index import Index, plane_name, plane_reader
from phaseguide.labels import Map, is_partial, relabelled
from phaseguide.micrographs.margins import Margins, find_margins
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.edits_follower import check_names
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.projects.project import Project

Given = tuple[tuple[float | None, ...], float] | None
"""A ratio and its log-ratio standard deviation, or None."""

Read = Callable[[], Iterator[Source]]

EDITS, NO_LABELS = "edits", "only a ratio"


def label_layers(viewer: ViewerModel, image: Image) -> list[Labels]:
    """Labels layers that could teach about an image: pixel by pixel its own, and not made by the program."""
    from napari.layers import Labels

    edits = roles.find_layer(viewer, image, "edits")
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels)
        and layer is not edits
        and not roles.is_result(layer)
        and roles.same_grid(layer, image) is None
    ]


def has_paint(layer: Labels | None) -> bool:
    """Whether anything is painted on a layer; True where only reading would tell."""
    if layer is None:
        return False
    return bool(layer.data.any()) if isinstance(layer.data, np.ndarray) else True


def layer_reader(
    image: Image,
    labels: Labels | None,
    *,
    edits: bool,
    given: Given,
    truth: Callable[[], Map | None] | None = None,
    check: Callable[[NDArray[np.uint8], str], None] | None = None,
    name: str = "",
    group: str = "",
) -> Read:
    """Return what reads the sources of an image layer: one a plane that has labels, or a ratio.

    To be called in the GUI thread; labels are copied, so that painting goes on while they are read.

    Parameters
    ----------
    image : Image
    labels : Labels or None
    edits : bool
        Whether the labels are strokes on an edits layer; else they may be complete.
    given : tuple or None
        A ratio of the image, of each plane of a stack.
    truth : callable, optional
        Returns labels that lie below the edits, or None.
    check : callable, optional
        Gets labels and the layer's name; raises if their numbers mean other phases.
    name, group : str
        Of the sources; a field of a project is named as the command line names it, so that both learn alike.
    """
    data, rgb, name = planes.full_data(image), image.rgb, name or image.name
    known: Margins | None = image.metadata.get(KEY, {}).get("margins")
    painted: list[tuple[Index, Any]] = []
    source = None if labels is None else labels.data
    for index in planes.all_indices(image):
        here = None if source is None else source[index]
        if isinstance(here, np.ndarray):
            here = here.copy() if here.any() else None
        if here is not None or given is not None or truth is not None:
            painted.append((index, here))
    title = name if labels is None else labels.name

    def read() -> Iterator[Source]:
        for index, here in painted:
            found = None if here is None else as_labels(here, title)
            if found is not None and not found.any():
                found = None
            if found is not None and check is not None:
                check(found, title)
            below = truth() if truth is not None else None
            merged = merge_labels(below, found)
            if merged is None and given is None:
                continue
            pixels = plane_reader(data, index, rgb=rgb)()
            margins = find_margins(pixels) if known is None else known.of_plane(*index)
            yield _source(
                plane_name(name, index),
                pixels,
                merged,
                given,
                margins,
                edits=edits and below is None,
                group=group,
            )
        if not painted:
            yield Source(name, plane_reader(data, planes.all_indices(image)[0], rgb=rgb)(), None, "edits")

    return read


def folder_reader(folder: Path, scheme: PhaseScheme) -> Read:
    """Return what reads a folder of pairs; names begin with the folder's."""

    def read() -> Iterator[Source]:
        from phaseguide.datasets.folder import open_dataset

        dataset = open_dataset(folder)
        if not dataset.labelled().items:
            raise DatasetError(
                f"{folder}: holds images, but no label maps. Put them into {folder.name}/labels, named like the images."
            )
        for source in sources_from_dataset(dataset, dataset.scheme or scheme):
            labels = source.labels
            if dataset.scheme is not None and labels is not None:
                labels = _by_name(labels, dataset.scheme, scheme, folder)
            yield replace(source, name=f"{folder.name}/{source.name}", labels=labels)

    return read


def field_reader(project: Project, field_id: str, scheme: PhaseScheme | None) -> Read:
    """Return what reads one field of a project; refused where its numbers mean other phases than ``scheme``'s."""

    def read() -> Iterator[Source]:
        for source in sources_from_project(project):
            if source.name != field_id:
                continue
            if scheme is not None and source.labels is not None:
                check_names(source.labels, project.scheme, scheme, field_id)
            if scheme is not None and source.ratio is not None:
                every = np.arange(1, len(source.ratio) + 1, dtype=np.uint8)
                check_names(every, project.scheme, scheme, field_id)
            yield source

    return read


def refusal(error: PhaseguideError) -> Read:
    """Return what stands for a source that cannot be used; the table shows why."""

    def read() -> Iterator[Source]:
        yield from ()
        raise error

    return read


def _source(
    name: str,
    image: NDArray[Any],
    labels: NDArray[np.uint8] | None,
    given: Given,
    margins: Margins,
    *,
    edits: bool,
    group: str,
) -> Source:
    said, labels = labels, margins.exclude(labels, image.shape[:2])
    if said is None or labels is None:
        kind: Kind = "ratio"
    elif edits:
        kind = "edits"
    else:
        kind = "partial" if is_partial(labels) else "full"
    ratio, tolerance = (None, 0.1) if given is None else given
    return Source(name, image, labels, kind, ratio, tolerance, group)


def _by_name(
    labels: NDArray[np.uint8], own: PhaseScheme, scheme: PhaseScheme, folder: Path
) -> NDArray[np.uint8]:
    """Bring labels of a folder with its own scheme to the phases of the model.

    Raises
    ------
    SchemeError
        A phase of the folder that the model does not have.
    """
    from phaseguide.errors import SchemeError

    relabel: dict[int, int] = {}
    present = set(np.unique(labels).tolist())
    for phase in own:
        if phase.label not in present:
            continue
        try:
            relabel[phase.label] = scheme.find(phase.name).label
        except SchemeError as error:
            raise SchemeError(
                f"{folder}: has the phase {phase.name!r}, which the model does not. Add it under Phases, or rename "
                "one."
            ) from error
    return relabelled(labels, relabel)
