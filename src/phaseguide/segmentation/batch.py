"""Segmenting image files one after the other, so that one bad file does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, PhaseguideError, describe_refusal
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.reading import IMAGE_SUFFIXES, Micrograph, read_micrograph
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.saving import SavedFiles, result_files, save_segmentation
from phaseguide.segmentation.session import Session
from phaseguide.segmentation.tiling import DEFAULT_TILE


@dataclass(frozen=True)
class BatchOptions:
    """How every image of a batch is treated, apart from the request.

    Attributes
    ----------
    exclude_info_bar : bool
        Leave a detected information bar out of every area share.
    device, flips, tile
        See `Session`.
    overlay : bool
        Write an overlay picture too.
    source : str, optional
        Where the ratio comes from, for the record.
    """

    exclude_info_bar: bool = True
    device: str = "auto"
    flips: bool | None = None
    tile: int = DEFAULT_TILE
    overlay: bool = False
    source: str | None = None


@dataclass(frozen=True)
class ImageDone:
    """One image is segmented and saved."""

    image: Path
    segmentation: Segmentation
    files: SavedFiles


@dataclass(frozen=True)
class ImageFailed:
    """One image could not be segmented or saved; the others go on."""

    image: Path
    error: PhaseguideError


BatchEvent = Progress | Notice | ImageDone | ImageFailed | Finished[tuple[ImageDone | ImageFailed, ...]]


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """List the image files of paths; of a folder, its images (or those of its ``images/``).

    Label maps and overlays that stand beside their image (``x_labels.tif`` beside ``x.png``) are results
    of an earlier run and left out.

    Raises
    ------
    MicrographError
        A path that is not there, a folder without images, or two images that would give results of
        the same name.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = _images_of(path / "images" if (path / "images").is_dir() else path)
            if not inside:
                raise MicrographError(
                    f"{path}: holds no images (TIFF, PNG, JPEG or BMP). Choose another folder."
                )
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            raise MicrographError(f"{path}: there is no such file or folder. Check the path.")
    found = list(dict.fromkeys(found))
    by_stem: dict[str, Path] = {}
    for path in found:
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise MicrographError(
                f"{other} and {path}: their results would have the same name, {path.stem}_labels.tif. "
                "Rename one, or segment them into different folders."
            )
    return found


def _images_of(folder: Path) -> list[Path]:
    files = [
        p for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith(".") and p.suffix.lower() in IMAGE_SUFFIXES
    ]  # fmt: skip
    stems = {p.stem for p in files}

    def is_result(path: Path) -> bool:
        return any(
            path.stem.endswith(end) and path.stem.removesuffix(end) in stems
            for end in ("_labels", "_overlay")
        )

    return [p for p in files if not is_result(p)]


def segment_files(
    images: Sequence[Path],
    model: LoadedModel,
    request: Request,
    out_dir: Path,
    options: BatchOptions | None = None,
    *,
    edits: NDArray[np.uint8] | None = None,
) -> Iterator[BatchEvent]:
    """Segment image files and save the results; stop it by closing the generator.

    Parameters
    ----------
    images : sequence of Path
        From `find_images`.
    model : LoadedModel
    request : Request
        The same for all.
    out_dir : Path
    options : BatchOptions, optional
    edits : ndarray of uint8, optional
        Manual edits of the one image.

    Yields
    ------
    Progress, Notice
        While working.
    ImageDone, ImageFailed
        After each image.
    Finished of tuple of ImageDone and ImageFailed
        Last.
    """
    options = options or BatchOptions()
    outcomes: list[ImageDone | ImageFailed] = []
    for index, path in enumerate(images):
        if len(images) > 1:
            yield Progress(f"Segmenting {path.name}", index, len(images))
        outcome: ImageDone | ImageFailed
        try:
            for event in _segment_file(path, model, request, out_dir, options, edits):
                if isinstance(event, Finished):
                    outcome = event.result
                elif isinstance(event, Notice):
                    yield Notice(f"{path.name}: {event.message}")
                elif len(images) == 1:
                    yield event
        except PhaseguideError as error:
            # A new one: the one that was raised holds the frames of this image, and so its arrays.
            outcome = ImageFailed(path, type(error)(str(error)))
        except (OSError, MemoryError, RuntimeError) as error:
            message = describe_refusal(error)
            if message is None:
                raise
            outcome = ImageFailed(path, PhaseguideError(f"{path}: {message}"))
        outcomes.append(outcome)
        yield outcome
    yield Finished(tuple(outcomes))


def _segment_file(
    path: Path,
    model: LoadedModel,
    request: Request,
    out_dir: Path,
    options: BatchOptions,
    edits: NDArray[np.uint8] | None,
) -> Iterator[Progress | Notice | Finished[ImageDone]]:
    micrograph = read_micrograph(path)
    fixed, excluded_rows = edits, 0
    if options.exclude_info_bar and not micrograph.is_stack:
        excluded_rows = micrograph.info_bar_rows
        fixed = with_info_bar(micrograph, edits)
        if excluded_rows:
            yield Notice(f"the information bar at the bottom ({excluded_rows} rows) is excluded.")
    session = Session(
        model,
        micrograph.data,
        edits=fixed,
        device=options.device,
        flips=options.flips,
        tile=options.tile,
        name=str(path),
    )
    segmentation: Segmentation | None = None
    for event in session.segment(request):
        if isinstance(event, Finished):
            segmentation = event.result
        else:
            yield event
    assert segmentation is not None
    for message in segmentation.notices:
        yield Notice(message)
    files = save_segmentation(
        out_dir,
        path.stem,
        segmentation,
        model,
        path,
        micrograph.data,
        micrograph.pixel_size_um,
        overlay=options.overlay,
        source=options.source,
        settings=_settings(request, options, session, excluded_rows, edits is not None),
    )
    yield Finished(ImageDone(path, segmentation, files))


def with_info_bar(micrograph: Micrograph, edits: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Exclude the information bar, except where the user painted.

    Returns
    -------
    ndarray of uint8, shape (H, W), or None
        Manual edits with 255 in the rows of the bar; ``edits`` itself where there is no bar.
    """
    shape = micrograph.data.shape[:2]
    if not micrograph.info_bar_rows or (edits is not None and edits.shape != shape):
        return edits
    fixed = np.zeros(shape, dtype=np.uint8) if edits is None else edits.copy()
    bar = fixed[shape[0] - micrograph.info_bar_rows :]
    bar[bar == 0] = EXCLUDED
    return fixed


def _settings(
    request: Request, options: BatchOptions, session: Session, excluded_rows: int, edited: bool
) -> dict[str, Any]:
    return {
        "device": f"{session.device.kind}: {session.device.name}",
        "smoothing_px": request.smoothing_px,
        "min_island_px": request.min_island_px,
        "views": [view.model_dump() for view in session.views],
        "tile": options.tile,
        "info_bar_rows_excluded": excluded_rows,
        "manual_edits": edited,
    }


def existing_results(images: Sequence[Path], out_dir: Path, *, overlay: bool) -> list[Path]:
    """Files that `segment_files` would replace."""
    taken = []
    for path in images:
        files = result_files(out_dir, path.stem, overlay=overlay)
        taken += [f for f in (files.labels, files.record, files.overlay) if f is not None and f.exists()]
    return taken
