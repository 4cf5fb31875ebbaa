"""Stacks: the planes of one image as one result, and its files."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import is_labelled
from phaseguide.micrographs.label_maps import label_map_bytes
from phaseguide.micrographs.records import write_result
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio, closed
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import (
    SavedFiles,
    make_record,
    overlay_image,
    phase_rows,
    result_files,
)


def area_px(labels: NDArray[np.uint8]) -> int:
    """Count the pixels that carry a phase."""
    return int(np.count_nonzero(is_labelled(labels)))


def mean_shares(ratios: Sequence[Ratio | None], areas: Sequence[float]) -> Ratio | None:
    """Return the area-weighted mean of compositions, shape (K,); None if one of them is None."""
    known = [ratio for ratio in ratios if ratio is not None]
    return closed(np.asarray(areas, dtype=np.float64) @ known) if len(known) == len(ratios) else None


def together(planes: Sequence[Segmentation]) -> Segmentation:
    """Return planes as one segmentation: maps stacked, shares as area-weighted means.

    Parameters
    ----------
    planes : sequence of Segmentation
        At least one; of one size and one request.

    Returns
    -------
    Segmentation
        ``labels`` and ``own_labels`` of shape (Z, H, W). The notices say which plane, numbered from 0.
    """
    areas = [area_px(plane.labels) for plane in planes]
    own = mean_shares([plane.own for plane in planes], areas)
    achieved = mean_shares([plane.achieved for plane in planes], areas)
    assert own is not None and achieved is not None
    return dataclasses.replace(
        planes[0],
        labels=np.stack([plane.labels for plane in planes]),
        own_labels=np.stack([plane.own_labels for plane in planes]),
        own=own,
        imposed=mean_shares([plane.imposed for plane in planes], areas),
        achieved=achieved,
        edited_px=sum(plane.edited_px for plane in planes),
        notices=tuple(f"plane {i}: {notice}" for i, plane in enumerate(planes) for notice in plane.notices),
    )


def save_stack(
    out_dir: str | Path,
    stem: str,
    planes: Sequence[Segmentation],
    model: LoadedModel,
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
    notices: Sequence[str] = (),
) -> SavedFiles:
    """Write the label maps of a stack as one file, and one record with a part for each plane.

    As `phaseguide.segmentation.saving.save_segmentation`, with these differences: ``image`` has shape
    (Z, H, W) or (Z, H, W, 3), the overlay is a TIFF stack, ``phases`` in the record holds area-weighted
    means over the planes, and ``planes`` holds the same rows for each plane. ``notices`` are about the file.
    """
    whole = together(planes)
    whole = dataclasses.replace(whole, notices=(*notices, *whole.notices))
    files = stack_files(out_dir, stem, overlay=overlay)
    record = make_record(
        whole,
        model,
        image_path,
        image,
        pixel_size_um,
        image_sha256=image_sha256,
        scale_source=scale_source,
        source=source,
        settings=settings,
    )
    record["image"].update(planes=len(image), height=image.shape[1], width=image.shape[2])
    record["planes"] = [
        {
            "plane": index,
            "phases": phase_rows(plane),
            "excluded": float((plane.labels == EXCLUDED).mean()),
            "notices": list(plane.notices),
        }
        for index, plane in enumerate(planes)
    ]
    parts = {files.labels: label_map_bytes(files.labels, whole.labels, pixel_size_um)}
    if files.overlay is not None:
        parts[files.overlay] = _overlay_bytes(image, planes)
    write_result(files.record, {"labels": files.labels.name, **record}, parts, replace=replace)
    return files


def stack_files(out_dir: str | Path, stem: str, *, overlay: bool = False) -> SavedFiles:
    """Return the names under which `save_stack` writes; PNG holds no stack, so the overlay is a TIFF."""
    files = result_files(out_dir, stem, overlay=overlay)
    return (
        files
        if files.overlay is None
        else dataclasses.replace(files, overlay=files.overlay.with_suffix(".tif"))
    )


def _overlay_bytes(image: NDArray[Any], planes: Sequence[Segmentation]) -> bytes:
    import tifffile

    pictures = [
        overlay_image(one, plane.labels, plane.scheme) for one, plane in zip(image, planes, strict=True)
    ]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.stack(pictures), photometric="rgb", compression="zlib")
    return buffer.getvalue()
