"""Write what the widget shows: tables, overlay pictures, label maps with their records. Runs in a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from phaseguide.jobs.plane_index import Index, plane_name
from phaseguide.jobs.results import Provenance
from phaseguide.jobs.tables import PhaseRow, table_rows, table_text
from phaseguide.segmentation.request import Segmentation


@dataclass(frozen=True)
class ExportedPlane:
    """One plane as it stands, and how to read its image."""

    index: Index
    segmentation: Segmentation
    made: Provenance
    read: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class ExportedImage:
    """Everything about a result that a file may need."""

    image_name: str
    image_path: Path | None
    image_sha256: str | None
    pixel_size_um: float | None
    planes: tuple[ExportedPlane, ...]
    scale_source: str | None = None

    def rows(self) -> list[PhaseRow]:
        """Table of all planes."""
        return [
            row
            for plane in self.planes
            for row in table_rows(self.image_name, " ".join(map(str, plane.index)), plane.segmentation)
        ]

    def stem(self, index: Index) -> str:
        """Name for files of a plane: the image's, fit for a file name, and the plane's number."""
        stem = re.sub(r"[^\w.\-]+", "_", self.image_name).strip("._") or "image"
        return "_".join([stem, *(f"{i:03d}" for i in index)])


def save_table(path: Path, rows: list[PhaseRow]) -> Path:
    """Write the table as CSV."""
    from phaseguide.files.atomic import write_bytes

    # With a byte-order mark, or Excel garbles the names of Widmanstätten and others.
    write_bytes(path, table_text(rows, ",").encode("utf-8-sig"))
    return path


def save_overlay(path: Path, exported: ExportedImage, plane: ExportedPlane) -> Path:
    """Write the phases over the micrograph as PNG, with name, scale bar and a legend with area % below."""
    from phaseguide.files.atomic import write_bytes
    from phaseguide.segmentation.saving import png_bytes, report_picture

    title = plane_name(exported.image_name, plane.index)
    picture = report_picture(plane.read(), plane.segmentation, title, exported.pixel_size_um)
    write_bytes(path, png_bytes(picture))
    return path


def files_there(folder: Path, exported: ExportedImage) -> list[Path]:
    """Return the files that `save_results` would replace."""
    from phaseguide.segmentation.saving import result_files

    files = [result_files(folder, exported.stem(plane.index)) for plane in exported.planes]
    return [path for one in files for path in (one.labels, one.record) if path.exists()]


def save_results(folder: Path, exported: ExportedImage) -> Path:
    """Write label map and record of every plane into a folder."""
    from phaseguide.segmentation.saving import save_segmentation

    for plane in exported.planes:
        save_segmentation(
            folder,
            exported.stem(plane.index),
            plane.made.told(plane.segmentation),
            plane.made.model,
            exported.image_path,
            plane.read(),
            exported.pixel_size_um,
            image_sha256=exported.image_sha256,
            scale_source=exported.scale_source,
            source=plane.made.source,
            settings=plane.made.settings,
        )
    return folder
