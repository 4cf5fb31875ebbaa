"""Segmenting image files, each by itself or as one specimen, so that one bad file does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, PhaseguideError, as_user_error
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.margins import NO_MARGINS, Margins
from phaseguide.micrographs.reading import Micrograph, read_micrograph
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Scope
from phaseguide.segmentation.edits import painted_px
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.saving import SavedFiles, run_settings, save_segmentation
from phaseguide.segmentation.session import Session
from phaseguide.segmentation.specimen import (
    Composition,
    Field,
    FieldDone,
    FieldFailed,
    segment_fields,
    segment_specimen,
)
from phaseguide.segmentation.stacks import save_stack, together


@dataclass(frozen=True)
class BatchOptions:
    """How every image of a batch is treated, apart from the request.

    Attributes
    ----------
    exclude_info_bar : bool
        Leave detected information bars and an empty rim out of every area share.
    device, flips, tile, runtime
        See `Session`.
    overlay : bool
        Write an overlay picture too.
    replace : bool
        Whether results of an earlier run may be replaced.
    embeddings
        Where features are kept on disk, see `Session`.
    source : str, optional
        Where the ratio comes from, for the record.
    scope : {"field", "specimen"}
        What the ratio describes: every field, or all images of the batch together.
    details : mapping
        What else the records should tell about the ratio (basis, densities ...), JSON values.
    """

    exclude_info_bar: bool = True
    device: str = "auto"
    flips: bool | None = None
    tile: int | None = None
    runtime: str = "auto"
    overlay: bool = False
    replace: bool = True
    embeddings: EmbeddingFolder | Literal["off"] | None = None
    source: str | None = None
    scope: Scope = "field"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageDone:
    """One image is segmented and saved.

    Attributes
    ----------
    image : Path
    segmentation : Segmentation
        Of a stack, its planes together: see `phaseguide.segmentation.specimen.segment_specimen`.
    files : SavedFiles
    planes : tuple of Segmentation
        The planes of a stack; one for a plain image.
    """

    image: Path
    segmentation: Segmentation
    files: SavedFiles
    planes: tuple[Segmentation, ...] = ()


@dataclass(frozen=True)
class ImageFailed:
    """One image could not be segmented or saved; the others go on."""

    image: Path
    error: PhaseguideError


GroupEvent = Progress | Notice | Composition | ImageDone | ImageFailed
BatchEvent = GroupEvent | Finished[tuple[ImageDone | ImageFailed, ...]]


def segment_files(
    images: Sequence[Path],
    model: LoadedModel,
    request: Request,
    out_dir: Path,
    options: BatchOptions | None = None,
    *,
    edits: NDArray[np.uint8] | None = None,
    known: Micrograph | None = None,
) -> Iterator[BatchEvent]:
    """Segment image files and save the results; stop it by closing the generator.

    Every plane of a stack is a field. Its label maps are written as one stack, with one record.

    Parameters
    ----------
    images : sequence of Path
        From `phaseguide.jobs.image_files.find_images`.
    model : LoadedModel
    request : Request
        The same for all.
    out_dir : Path
    options : BatchOptions, optional
    edits : ndarray of uint8, optional
        Manual edits of the one image, of its shape.
    known : Micrograph, optional
        One of the images that has been read already; it is not read again.

    Yields
    ------
    Progress, Notice
        While working.
    Composition
        Once, with a specimen's ratio, when all fields were seen.
    ImageDone, ImageFailed
        After each image.
    Finished of tuple of ImageDone and ImageFailed
        Last.
    """
    options = options or BatchOptions()
    request = replace(request, scope=options.scope)
    whole = _is_specimen(request)
    groups = [list(images)] if whole else [[path] for path in images]
    outcomes: list[ImageDone | ImageFailed] = []
    for index, group in enumerate(groups):
        if len(groups) > 1:
            yield Progress(f"Segmenting {group[0].name}", index, len(groups))
        for event in _segment_group(group, request, out_dir, _Reader(model, options, edits, known)):
            if isinstance(event, ImageDone | ImageFailed):
                outcomes.append(event)
            if len(groups) == 1 or not isinstance(event, Progress):
                yield event
    order = {path: place for place, path in enumerate(images)}
    yield Finished(tuple(sorted(outcomes, key=lambda outcome: order[outcome.image])))


def _segment_group(
    paths: Sequence[Path], request: Request, out_dir: Path, reader: _Reader
) -> Iterator[Progress | Notice | Composition | ImageDone | ImageFailed]:
    """Segment images as one specimen, or a single one by itself."""
    fields: list[Field] = []
    places: list[Path] = []
    failed: set[Path] = set()
    for path in paths:
        if len(paths) > 1:
            yield Progress(f"Reading {path.name}", 0, 0)
        try:
            count = reader.planes(path)
        except Exception as error:  # whatever is wrong with one image, the others go on
            yield ImageFailed(path, as_user_error(error, str(path)))
            continue
        for plane in range(count):
            name = f"{path.name}, plane {plane}" if count > 1 else path.name
            fields.append(Field(name, partial(reader.open, path, plane)))
            places.append(path)
    done: dict[Path, list[Segmentation]] = {path: [] for path in places}
    composition: Composition | None = None
    run = segment_specimen if _is_specimen(request) else segment_fields
    for event in run(fields, request):
        if isinstance(event, FieldFailed):
            path = places[event.index]
            if path not in failed:  # one plane is enough
                failed.add(path)
                yield ImageFailed(path, event.error)
        elif isinstance(event, FieldDone):
            path = places[event.index]
            edits = reader.painted(path, len(done[path]))
            done[path].append(replace(event.segmentation, edited_px=painted_px(edits)))
            if path not in failed and len(done[path]) == places.count(path):
                try:
                    settings = reader.settings(path, event.session, request, composition)
                    yield from _save(
                        reader.read(path), done.pop(path), reader.model, out_dir, reader.options, settings
                    )
                except Exception as error:
                    yield ImageFailed(path, as_user_error(error, str(path)))
        elif not isinstance(event, Finished):
            composition = event if isinstance(event, Composition) else composition
            yield event


def _is_specimen(request: Request) -> bool:
    return request.scope == "specimen" and request.asked is not None


def _save(
    micrograph: Micrograph,
    planes: Sequence[Segmentation],
    model: LoadedModel,
    out_dir: Path,
    options: BatchOptions,
    settings: Mapping[str, Any],
) -> Iterator[Notice | ImageDone]:
    """Write the result of one image, and say what its user should know."""
    path, stack = micrograph.path, micrograph.is_stack
    whole = together(planes) if stack else planes[0]
    about_file = file_notices(micrograph, options)
    whole = replace(whole, notices=(*about_file, *whole.notices))
    for message in whole.notices:
        yield Notice(message, path.name)
    about = (model, path, micrograph.data, micrograph.pixel_size_um)
    extras: dict[str, Any] = {
        "image_sha256": micrograph.sha256,
        "scale_source": micrograph.scale_source,
        "overlay": options.overlay,
        "source": options.source,
        "settings": settings,
        "replace": options.replace,
    }
    if stack:
        files = save_stack(out_dir, path.stem, planes, *about, **extras, notices=about_file)
    else:
        files = save_segmentation(out_dir, path.stem, whole, *about, **extras)
    # Views into the stack: the maps are there once.
    maps = zip(planes, whole.labels, whole.own_labels, strict=True) if stack else ()
    parts = tuple(replace(plane, labels=labels, own_labels=own) for plane, labels, own in maps)
    yield ImageDone(path, whole, files, parts or (whole,))


class _Reader:
    """Opens the fields of a group of files; remembers the last file that it read."""

    def __init__(
        self,
        model: LoadedModel,
        options: BatchOptions,
        edits: NDArray[np.uint8] | None,
        known: Micrograph | None,
    ) -> None:
        self.model, self.options, self.edits = model, options, edits
        self._last = known
        self._checksums: dict[Path, str] = {}

    def read(self, path: Path) -> Micrograph:
        if self._last is None or self._last.path != path:
            self._last = None  # before the next one takes its memory
            micrograph = read_micrograph(path)
            if self._checksums.setdefault(path, micrograph.sha256) != micrograph.sha256:
                raise MicrographError(f"{path}: was replaced while it was worked on. Segment it again.")
            self._last = micrograph
        return self._last

    def planes(self, path: Path) -> int:
        micrograph = self.read(path)
        return len(micrograph.data) if micrograph.is_stack else 1

    def open(self, path: Path, plane: int) -> Session:
        micrograph = self.read(path)
        if not micrograph.is_stack:
            return open_micrograph(micrograph, self.edits, self.model, self.options, str(path))
        edits, name = _plane_edits(self.edits, plane, micrograph), f"{path}, plane {plane}"
        return open_micrograph(micrograph, edits, self.model, self.options, name, plane)

    def painted(self, path: Path, plane: int) -> NDArray[np.uint8] | None:
        """Return what was painted on a plane of a file."""
        if self.edits is None:
            return None
        micrograph = self.read(path)
        return _plane_edits(self.edits, plane, micrograph) if micrograph.is_stack else self.edits

    def settings(
        self, path: Path, session: Session, request: Request, whole: Composition | None
    ) -> dict[str, Any]:
        """What the record of a file tells about the run."""
        told = file_settings(
            session, request, self.read(path), self.options, manual_edits=self.edits is not None
        )
        if request.asked is not None:
            told |= self.options.details
        if whole is not None:
            # The ratio was about all of these; asked and imposed of this image are only its part of it.
            told["specimen"] = {"fields": whole.fields, "own": whole.own, "imposed": whole.imposed}
        return told


def open_micrograph(
    micrograph: Micrograph,
    edits: NDArray[np.uint8] | None,
    model: LoadedModel,
    options: BatchOptions,
    name: str,
    plane: int | None = None,
) -> Session:
    """Return a session on an image of a file, or on a plane of its stack; bars and rims are left out if wanted."""
    data, margins = micrograph.data, _excluded(micrograph, options) or NO_MARGINS
    if plane is not None:
        data, margins = data[plane], margins.of_plane(plane)
    return Session(
        model,
        data,
        edits=margins.exclude(edits, data.shape[:2]),
        device=options.device,
        flips=options.flips,
        tile=options.tile,
        runtime=options.runtime,
        name=name,
        pixel_size_um=micrograph.pixel_size_um,
        embeddings=options.embeddings,
    )


def file_settings(
    session: Session, request: Request, micrograph: Micrograph, options: BatchOptions, *, manual_edits: bool
) -> dict[str, Any]:
    """Return what the record of an image file tells about the run."""
    margins = _excluded(micrograph, options)
    return run_settings(session, request, margins=margins, manual_edits=manual_edits, flips=options.flips)


def file_notices(micrograph: Micrograph, options: BatchOptions) -> tuple[str, ...]:
    """Return what the record of an image file tells about the file itself."""
    return (*micrograph.notices, *(_excluded(micrograph, options) or NO_MARGINS).notices())


def _excluded(micrograph: Micrograph, options: BatchOptions) -> Margins | None:
    return micrograph.margins if options.exclude_info_bar else None


def _plane_edits(
    edits: NDArray[np.uint8] | None, plane: int, micrograph: Micrograph
) -> NDArray[np.uint8] | None:
    shape = micrograph.data.shape[:3]
    if edits is not None and edits.shape != shape:
        raise MicrographError(
            f"The edits are {' x '.join(map(str, edits.shape))} px, but {micrograph.path} is a stack of "
            f"{' x '.join(map(str, shape))} px. Use edits that were painted on this stack."
        )
    return None if edits is None else edits[plane]
