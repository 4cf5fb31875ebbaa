"""What microscopes write into TIFF tags: the size of a pixel, the height of the information bar."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from tifffile import TiffFile

UNKNOWN = "scale unknown"

_MICROMETRES = {
    "m": 1e6, "cm": 1e4, "centimeter": 1e4, "mm": 1e3, "um": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "nm": 1e-3, "å": 1e-4, "angstrom": 1e-4, "pm": 1e-6, "in": 25400.0, "inch": 25400.0,
}  # fmt: skip

# Resolution tags usually hold the 72 to 600 dpi of a screen or printer, 42 to 350 um. A camera on
# a microscope sees less than this in a pixel.
_LARGEST_CREDIBLE_UM = 20.0
_SMALLEST_CREDIBLE_UM = 1e-5

_LENGTH = re.compile(r"\s*([-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?)\s*(\S*)\s*")


def pixel_size_um(tiff: TiffFile) -> tuple[float | None, str]:
    """Find the edge of a pixel in micrometres and say where the number comes from.

    The instrument's own record is asked first, then OME and ImageJ metadata, then the plain
    resolution tags, which count only if they have a unit of length and are credible for a
    microscope. A pixel that is not square has no single size and counts as unknown.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        An open file.

    Returns
    -------
    size : float or None
        Micrometres; None if unknown.
    source : str
        ``"FEI/Thermo metadata"``, ``"Zeiss metadata"``, ``"OME metadata"``, ``"ImageJ metadata"``,
        ``"TIFF resolution tags"`` or ``"scale unknown"``.
    """
    for find, source in (
        (_from_fei, "FEI/Thermo metadata"),
        (_from_zeiss, "Zeiss metadata"),
        (_from_ome, "OME metadata"),
        (_from_imagej, "ImageJ metadata"),
        (_from_resolution, "TIFF resolution tags"),
    ):
        size = find(tiff)
        if size is not None and math.isfinite(size) and _SMALLEST_CREDIBLE_UM <= size <= 1e4:
            return size, source
    return None, UNKNOWN


def data_bar_rows(tiff: TiffFile) -> int:
    """Rows of the information bar as recorded by a FEI/Thermo microscope; 0 if it does not say so.

    The record is trusted only while image rows and bar rows still add up to the file's height,
    that is, while nobody has cropped the bar away.
    """
    record = tiff.fei_metadata or {}
    bar = _section(record, "PrivateFei").get("DatabarHeight")
    rows = _section(record, "Image").get("ResolutionY")
    height = tiff.pages.first.shape[0]
    if isinstance(bar, int) and isinstance(rows, int) and bar > 0 and rows + bar == height:
        return bar
    return 0


def _length_um(text: str) -> float | None:
    """Read ``"11.2 nm"`` as micrometres; None if there is no number or no known unit."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    unit = match[2].replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u").casefold()
    if unit not in _MICROMETRES and unit.endswith("m") and not unit.isascii():
        unit = "um"  # a micro sign that a wrong text encoding has spoilt
    try:
        return float(match[1].replace(",", ".")) * _MICROMETRES[unit]
    except (ValueError, KeyError):
        return None


def _square(x: float | None, y: float | None) -> float | None:
    """One edge for both directions, or None if they differ by more than 1 %."""
    if x is None or y is None:
        return x if y is None else y
    return x if x > 0 and abs(x - y) <= 0.01 * x else None


def _section(record: dict[str, Any], name: str) -> dict[str, Any]:
    section = record.get(name)
    return section if isinstance(section, dict) else {}


def _from_fei(tiff: TiffFile) -> float | None:
    record = tiff.fei_metadata or {}
    for name in ("Scan", "EScan", "IScan"):
        section = _section(record, name)
        x, y = (_length_um(f"{section.get(key)} m") for key in ("PixelWidth", "PixelHeight"))
        if x is not None or y is not None:
            return _square(x, y)
    return None


def _from_zeiss(tiff: TiffFile) -> float | None:
    record = tiff.sem_metadata or {}
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        entry = record.get(key)
        if entry:  # (name, value, unit), or (name, "value unit") where tifffile cannot part them
            size = _length_um(" ".join(str(part) for part in entry[1:]))
            if size is not None:
                return size
    return None


def _from_ome(tiff: TiffFile) -> float | None:
    if not tiff.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    x, y = (
        _length_um(f"{pixels.get(f'PhysicalSize{axis}')} {pixels.get(f'PhysicalSize{axis}Unit', 'um')}")
        for axis in "XY"
    )
    return _square(x, y)


def _from_imagej(tiff: TiffFile) -> float | None:
    unit = str((tiff.imagej_metadata or {}).get("unit", "")).strip('"')
    # ImageJ writes pixels per its own unit and ignores the tag's unit.
    return _resolution_um(tiff, unit) if unit else None


def _from_resolution(tiff: TiffFile) -> float | None:
    tag = tiff.pages.first.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value)) if tag is not None else None
    return _resolution_um(tiff, unit) if unit else None


def _resolution_um(tiff: TiffFile, unit: str) -> float | None:
    """Pixel size from the resolution tags, which count pixels per ``unit``."""
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = tiff.pages.first.tags.get(name)
        if tag is None or not tag.value[0]:
            return None
        sizes.append(_length_um(f"{tag.value[1] / tag.value[0]} {unit}"))
    size = _square(*sizes)
    if unit in ("inch", "in", "cm") and size is not None and size > _LARGEST_CREDIBLE_UM:
        return None
    return size
