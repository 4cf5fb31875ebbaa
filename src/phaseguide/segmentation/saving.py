"""Results as files: the label map, beside it the record that tells how it was made, and a picture."""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import phaseguide
from phaseguide.errors import MicrographError
from phaseguide.micrographs.label_maps import label_map_bytes
from phaseguide.micrographs.margins import NO_MARGINS, Margins
from phaseguide.micrographs.records import sha256_of_array, sha256_of_file, write_result
from phaseguide.models.model_file import LoadedModel, UsedModel
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.ratios import Ratio
from phaseguide.segmentation.constraints.prompts import prompt_rows
from phaseguide.segmentation.constraints.region_files import region_rows
from phaseguide.segmentation.figure import legend_entries, with_legend
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.review.sensitivity import boundary_sensitivity

if TYPE_CHECKING:
    from phaseguide.segmentation.session import Session

CONSTRAINED = "constrained by your value, not independent"
"""What stands beside every area share that a user's ratio had a part in."""

SHOWN = "guided by your boxes and points, not independent"
"""The same where the network was shown prompts; see `constraint_note` for both."""

LABELS_ENDING = "_labels.tif"
RECORD_ENDING = ".json"
OVERLAY_ENDING = "_overlay.png"


@dataclass(frozen=True)
class SavedFiles:
    """The files of one result; ``overlay`` is None if no picture was wanted."""

    labels: Path
    record: Path
    overlay: Path | None


def result_files(out_dir: str | Path, stem: str, *, overlay: bool = False) -> SavedFiles:
    """Return the names under which `save_segmentation` writes, without writing."""
    folder = Path(out_dir)
    picture = folder / f"{stem}{OVERLAY_ENDING}" if overlay else None
    return SavedFiles(folder / f"{stem}{LABELS_ENDING}", folder / f"{stem}{RECORD_ENDING}", picture)


def save_segmentation(
    out_dir: str | Path,
    stem: str,
    segmentation: Segmentation,
    model: LoadedModel | UsedModel,
    image_path: str | Path | None,
    image: NDArray[Any],
    pixel_size_um: float | None,
    *,
    image_sha256: str | None = None,
    scale_source: str | None = None,
    overlay: bool = False,
    source: str | None = None,
    settings: Mapping[str, Any] | None = None,
    replace: bool = True,
) -> SavedFiles:
    """Write ``<stem>_labels.tif``, ``<stem>.json`` and, if wanted, ``<stem>_overlay.png``.

    All of them change together or not at all. An earlier result of these names is replaced; whether that is
    wanted is for the caller to ask (`result_files`). Files that are no result stay: see
    `phaseguide.micrographs.records.write_result`.

    Parameters
    ----------
    out_dir : path
        Made if it is missing.
    stem : str
    segmentation : Segmentation
    model : LoadedModel or UsedModel
    image_path : path or None
        File of the image; None for an image that is only in memory.
    image : ndarray, shape (H, W) or (H, W, 3)
    pixel_size_um : float or None
        Kept in the label map.
    image_sha256 : str, optional
        Checksum of that file when the image was read; None takes it now.
    scale_source : str, optional
        Where the size of a pixel comes from ("Zeiss metadata", "typed", "two clicks on the bar").
    overlay : bool
    source : str, optional
        Where the ratio comes from, in the user's words ("EBSD of this field").
    settings : mapping, optional
        Further settings of the run (smoothing, device ...), JSON values.
    replace : bool
        Whether an earlier result of these names may be replaced.

    Raises
    ------
    OutputError
        A file that no earlier result wrote has one of the names.
    PhaseguideError
        A file cannot be written.
    """
    files = result_files(out_dir, stem, overlay=overlay)
    record = make_record(
        segmentation,
        model,
        image_path,
        image,
        pixel_size_um,
        image_sha256=image_sha256,
        scale_source=scale_source,
        source=source,
        settings=settings,
    )
    parts = {files.labels: label_map_bytes(files.labels, segmentation.labels, pixel_size_um)}
    if files.overlay is not None:
        parts[files.overlay] = png_bytes(report_picture(image, segmentation, stem, pixel_size_um))
    write_result(files.record, {"labels": files.labels.name, **record}, parts, replace=replace)
    return files


def make_record(
    segmentation: Segmentation,
    model: LoadedModel | UsedModel,
    image_path: str | Path | None,
    image: NDArray[Any],
    pixel_size_um: float | None,
    *,
    image_sha256: str | None = None,
    scale_source: str | None = None,
    source: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the record of a result: shares in [0, 1], None where a number does not apply.

    Parameters
    ----------
    segmentation, model, image_path, image, pixel_size_um, image_sha256, scale_source, source, settings
        See `save_segmentation`.
    """
    if source is None:
        source = "not stated" if segmentation.has_ratio else _origin(segmentation)
    return {
        "image": {
            "file": None if image_path is None else Path(image_path).name,
            "sha256": image_sha256 or (None if image_path is None else sha256_of_file(image_path)),
            "pixels_sha256": sha256_of_array(image),
            "height": image.shape[0],
            "width": image.shape[1],
            "pixel_size_um": pixel_size_um,
            "scale_source": None if pixel_size_um is None else scale_source,
        },
        "model": {
            "name": model.card.name,
            "version": model.card.version,
            "sha256": model.sha256 or None,
            "guidance": model.card.guidance.kind,
        },
        "ratio": {
            "source": source,
            "uncertainty": segmentation.uncertainty,
            "mode": segmentation.mode,
            "constrained": segmentation.constrained,
            "estimator": found_row(segmentation),
            "statement": constraint_note(segmentation) or "no value of a user had a part in it",
        },
        "phases": phase_rows(segmentation),
        "regions": region_rows(segmentation.regions, segmentation.scheme),
        "prompts": prompt_rows(segmentation.prompts, segmentation.scheme),
        "excluded": float((segmentation.labels == EXCLUDED).mean()),
        "manual_edits_px": segmentation.edited_px,
        "notices": list(segmentation.notices),
        "settings": dict(settings or {}),
        "versions": _versions(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_settings(
    session: Session,
    request: Request,
    *,
    margins: Margins | None,
    manual_edits: bool,
    flips: bool | None = None,
    invert: bool = False,
) -> dict[str, Any]:
    """Return what every record tells about a run beyond the ratio, JSON values.

    Parameters
    ----------
    session : Session
        After it was used: device and tile may have changed on the way.
    request : Request
        Its scope is on record where a ratio was asked for.
    margins : Margins or None
        Bars and rims that were left out; None where they were to be kept.
    manual_edits : bool
        Whether something was painted.
    flips, invert
        As the session was asked for; ``views`` tells what became of the flips.
    """
    settings = {
        "device": session.device.kind,
        "device_name": session.device.name,
        "runtime": session.runtime,
        "tile": session.tile,
        "flips": flips,
        "invert": invert,
        "views": [view.model_dump() for view in session.views],
        "unsure_below": session.unsure_below,
        "smoothing_px": request.smoothing_px,
        "min_island_px": request.min_island_px,
        "exclude_info_bar": margins is not None,
        **(margins or NO_MARGINS).settings(),
        "manual_edits": manual_edits,
    }
    return settings if request.asked is None else {**settings, "scope": request.scope}


def found_row(segmentation: Segmentation) -> dict[str, Any] | None:
    """Return how the model found the ratio of a result, JSON values; None where it did not."""
    return None if segmentation.found is None else asdict(segmentation.found)


def constraint_note(segmentation: Segmentation) -> str:
    """Return what must stand beside the area shares of a result; empty if they are the model's alone."""
    if segmentation.prompts is None:
        return CONSTRAINED if segmentation.has_ratio else ""
    return f"{CONSTRAINED}; {SHOWN}" if segmentation.has_ratio else SHOWN


def edits_note(segmentation: Segmentation) -> str:
    """Return how much of a result was painted by hand; empty if nothing was."""
    return f"with {segmentation.edited_px:,} px of manual edits" if segmentation.edited_px else ""


def result_note(segmentation: Segmentation) -> str:
    """Return all that must be told beside the area shares of a result, see `constraint_note` and `edits_note`."""
    return "; ".join(note for note in (constraint_note(segmentation), edits_note(segmentation)) if note)


def phase_rows(segmentation: Segmentation) -> list[dict[str, Any]]:
    """Return one row a phase: label, name, colour, and its area shares.

    ``asked``, ``imposed``, ``achieved`` and ``own``; and ``eroded`` and ``dilated``, what achieved would be if
    every boundary of the phase lay 1 px further in or out (None for a stack): how much a
    share depends on where exactly boundaries were drawn.
    """
    eroded = dilated = None
    if segmentation.labels.ndim == 2:
        eroded, dilated = boundary_sensitivity(segmentation.labels, len(segmentation.scheme))

    def share(ratio: Ratio | None, index: int) -> float | None:
        return None if ratio is None or np.isnan(ratio[index]) else float(ratio[index])

    return [
        {
            "label": phase.label,
            "name": phase.name,
            "color": phase.colour,
            "asked": share(segmentation.asked, i),
            "imposed": share(segmentation.imposed, i),
            "achieved": share(segmentation.achieved, i),
            "own": share(segmentation.own, i),
            "eroded": share(eroded, i),
            "dilated": share(dilated, i),
        }
        for i, phase in enumerate(segmentation.scheme)
    ]


def overlay_image(
    image: NDArray[Any], labels: NDArray[np.uint8], scheme: PhaseScheme, alpha: float = 0.45
) -> NDArray[np.uint8]:
    """Paint the phases over an image in their colours.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, 3)
        Any real number type; shown between its 0.5 and 99.5 percentiles.
    labels : ndarray of uint8, shape (H, W)
        Pixels that are not classified stay as they are; excluded ones are darkened.
    scheme : PhaseScheme
    alpha : float
        Opacity of the colours, 0..1.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    MicrographError
        The labels have another shape than the image.
    """
    if labels.shape != image.shape[:2]:
        raise MicrographError(
            f"The labels are {' x '.join(map(str, labels.shape))} px, but the image is "
            f"{' x '.join(map(str, image.shape[:2]))} px. Labels must match pixel by pixel."
        )
    grey: NDArray[Any] = np.asarray(image, dtype=np.float32)
    finite = grey[np.isfinite(grey)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    grey = np.nan_to_num(grey, nan=float(low), posinf=float(high), neginf=float(low))
    grey = np.clip((grey - low) / max(float(high - low), 1e-12), 0, 1) * 255
    picture = np.repeat(grey[..., None], 3, axis=-1) if grey.ndim == 2 else grey[..., :3]
    colours = np.zeros((256, 3), dtype=np.float32)
    opacity = np.zeros(256, dtype=np.float32)
    for phase in scheme:
        colours[phase.label] = [int(phase.colour[i : i + 2], 16) for i in (1, 3, 5)]
        opacity[phase.label] = alpha
    opacity[EXCLUDED] = alpha  # towards black
    weight = opacity[labels][..., None]
    mixed: NDArray[np.uint8] = (picture * (1 - weight) + colours[labels] * weight).round().astype(np.uint8)
    return mixed


def report_picture(
    image: NDArray[Any], segmentation: Segmentation, title: str, pixel_size_um: float | None
) -> NDArray[np.uint8]:
    """Paint the phases over an image, and put title, scale bar and a legend with area % below.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, 3)
    segmentation : Segmentation
        Of that image. That a user's ratio or strokes had a part in it is told below the legend.
    title : str
        The image's name.
    pixel_size_um : float or None
        None leaves the scale bar out.

    Returns
    -------
    ndarray of uint8, shape (H + legend, W or more, 3)
    """
    return with_legend(
        overlay_image(image, segmentation.labels, segmentation.scheme),
        title,
        legend_entries(segmentation),
        result_note(segmentation),
        pixel_size_um,
    )


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Encode an RGB picture as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _origin(segmentation: Segmentation) -> str:
    return "none" if segmentation.imposed is None else "estimated by the model"


def _versions() -> dict[str, str]:
    import torch

    return {
        "phaseguide": phaseguide.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
