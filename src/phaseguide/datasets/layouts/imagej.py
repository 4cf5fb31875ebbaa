"""ImageJ: one zip of ROIs an image, as the ROI Manager saves it; the name of a ROI is its phase."""

from __future__ import annotations

import re
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.base import About, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, facts, plain_files
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.packages import need
from phaseguide.datasets.reading.schemes import scheme_of
from phaseguide.errors import DatasetError

MOST_BYTES = 64 * 1024**2
"""Of one ROI, unpacked."""

ENDINGS = ("_RoiSet", "_rois", "RoiSet", "")

ABOUT = About(
    name="imagej",
    title="ImageJ ROI sets",
    expects="X.zip or X_RoiSet.zip with ROIs for each image X, and the images in any sub-folder",
    holds="areas: polygon, rectangle, oval, freehand, traced, composite; the name of a ROI without its number is its "
    "phase (ferrite-12 is ferrite)",
)

_ITS_OWN = re.compile(r"[\d\-]*")
_NUMBER = re.compile(r"[\s_\-]*\d+$")


def matches(folder: Path) -> bool:
    """Whether a zip holds ROIs."""
    return any(_is_set(path) for path in plain_files(folder, ".zip", deep=True)[:3])


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that have a set of ROIs, and those that have none."""
    need("roifile", f"{folder}: reading ImageJ's ROIs")
    index = ImageIndex(folder)
    of_image: dict[Path, Annotated] = {}
    names: list[str] = []
    for file in plain_files(folder, ".zip", deep=True):
        image = index.find(_stem_of(file, index), str(file))
        if image in of_image:
            raise DatasetError(f"{file}: is for {image.name}, and so is {of_image[image].where}. Keep one.")
        known = [_phase(name, options, f"{file}, ROI {name}") for name in _names(file)]
        names += known
        of_image[image] = Annotated(
            image, str(file), partial(_outlines, file, options), facts(file), empty=not known
        )
    for image in index.paths:
        if image not in of_image:
            of_image[image] = Annotated(image, str(folder), list, (), empty=True)
    scheme = scheme_of(names, options)
    entries, told = entries_of(folder, list(of_image.values()), scheme, options)
    return Listing(ABOUT, folder, scheme, entries, notices=told)


def _stem_of(file: Path, index: ImageIndex) -> str:
    stems = {path.stem for path in index.paths}
    for ending in ENDINGS:
        stem = file.stem.removesuffix(ending).removesuffix("_")
        if stem in stems:
            return stem
    return next(iter(stems)) if len(stems) == 1 and file.stem.lower() == "roiset" else file.stem


def _names(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return [name[:-4] for name in archive.namelist() if name.lower().endswith(".roi")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{file}: is no sound zip ({error}). Save the ROIs again in ImageJ.") from error


def _phase(name: str, options: LayoutOptions, where: str) -> str:
    """The phase that a ROI is named after; ImageJ's own names, which are numbers, say none."""
    if not _ITS_OWN.fullmatch(name):
        return _NUMBER.sub("", name)
    if not options.unnamed:
        raise DatasetError(
            f"{where}: has the name that ImageJ gave it, which tells no phase. Rename it, or name the phase "
            "of such outlines with --unnamed."
        )
    return options.unnamed


def _outlines(file: Path, options: LayoutOptions) -> list[Outline]:
    import roifile

    outlines = []
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if not info.filename.lower().endswith(".roi"):
                    continue
                name = info.filename[:-4]
                where = f"{file}, ROI {name}"
                if info.file_size > MOST_BYTES:
                    raise DatasetError(
                        f"{where}: unpacks to {info.file_size / 1e6:.3g} MB, which is no outline."
                    )
                roi = _parsed(_unpacked(archive, info, where), where)
                if roi.roitype in (
                    roifile.ROI_TYPE.LINE, roifile.ROI_TYPE.FREELINE, roifile.ROI_TYPE.POLYLINE,
                    roifile.ROI_TYPE.ANGLE, roifile.ROI_TYPE.POINT, roifile.ROI_TYPE.NOROI,
                ):  # fmt: skip
                    raise DatasetError(
                        f"{where}: is a {roi.roitype.name.lower()}, which covers no area. Draw an area, or take it out."
                    )
                rings = tuple(as_ring(ring, where) for ring in roi.coordinates(multi=True))
                outlines.append(Outline(_phase(name, options, where), where, rings))
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{file}: is no sound zip ({error}). Save the ROIs again in ImageJ.") from error
    return outlines


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    """Bytes of a ROI; `DatasetError` where they are damaged, or locked by a password."""
    try:
        return archive.read(info)
    except (zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DatasetError(
            f"{where}: cannot be unpacked ({error}). Save the ROIs again in ImageJ, without a password."
        ) from error


def _parsed(data: bytes, where: str) -> Any:
    import roifile

    try:
        return roifile.ImagejRoi.frombytes(data)
    except (
        Exception
    ) as error:  # a damaged ROI makes the reader raise anything, from struct.error to IndexError
        raise DatasetError(f"{where}: is no sound ROI ({error}). Save the ROIs again in ImageJ.") from error


def _is_set(path: Path) -> bool:
    try:
        return bool(_names(path))
    except DatasetError:
        return False


LAYOUT = Layout(ABOUT, matches, open_folder)
