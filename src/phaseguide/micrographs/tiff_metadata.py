"""What microscopes write into TIFF tags: the size of a pixel, the height of the information bar."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from phaseguide.micrographs.lengths import length_um, unit_um
from phaseguide.micrographs.sidecars import find_in_header, square

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

# Resolution tags tell the dots per inch of a screen, a printer or a scanner, also where ImageJ took them over. The
# finest scanners of film reach some 12 000 and claim 24 000; below a micrometre only a microscope looks.
_LARGEST_BY_RESOLUTION_UM = 1.0
_OF_PRINTS = (1e4, 25400.0)  # cm and inch, in which dots are counted

_FEI, _ZEISS, _TESCAN, _OLYMPUS = (34680, 34682), (34118,), (50431,), (33560,)


def find_in_tags(tiff: TiffFile, page: TiffPage, number: int) -> Iterable[tuple[float | None, str]]:
    """Look for the edge of a pixel (micrometres, and who told it) in what the instrument or a program recorded in tags
    of its own about picture ``number``. None where it is not told, or where a pixel is not square.
    """
    yield _from_fei(_tag(tiff, page, _FEI), page), "FEI/Thermo metadata"
    yield _from_zeiss(_tag(tiff, page, _ZEISS), page), "Zeiss metadata"
    yield _from_tescan(_tag(tiff, page, _TESCAN), page), "TESCAN metadata"
    yield _from_olympus(_tag(tiff, page, _OLYMPUS)), "Olympus metadata"
    yield _from_ome(tiff, number), "OME metadata"
    yield _from_imagej(tiff, page), "ImageJ metadata"


def find_in_resolution(page: TiffPage) -> float | None:
    """Read the plain resolution tags, which count only where they are finer than any scanner of prints or film."""
    tag = page.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value)) if tag is not None else None
    return _resolution_um(page, unit) if unit else None


def data_bar_rows(tiff: TiffFile, page: TiffPage) -> int:
    """Rows of the information bar as recorded by a FEI/Thermo microscope; 0 if it does not say so.

    The record is trusted only while image rows and bar rows still add up to the picture's height,
    that is, while nobody has cropped the bar away.
    """
    record = _tag(tiff, page, _FEI)
    bar = _section(record, "PrivateFei").get("DatabarHeight")
    rows = _section(record, "Image").get("ResolutionY")
    if isinstance(bar, int) and isinstance(rows, int) and bar > 0 and rows + bar == page.imagelength:
        return bar
    return 0


def _tag(tiff: TiffFile, page: TiffPage, codes: tuple[int, ...]) -> Any:
    """The value of a tag of the picture, else of the file's first page, where instruments write about the whole."""
    for one in (page, tiff.pages.first):
        for code in codes:
            if (tag := one.tags.get(code)) is not None:
                return tag.value
    return None


def _section(record: Any, name: str) -> dict[str, Any]:
    section = record.get(name) if isinstance(record, dict) else None
    return section if isinstance(section, dict) else {}


def _from_fei(record: Any, page: TiffPage) -> float | None:
    if _section(record, "Image").get("ResolutionX", page.imagewidth) != page.imagewidth:
        return None  # scaled or cropped since: the record is about other pixels
    for name in ("Scan", "EScan", "IScan"):
        section = _section(record, name)
        x, y = (length_um(f"{section.get(key)} m") for key in ("PixelWidth", "PixelHeight"))
        if x is not None or y is not None:
            return square(x, y)
    return None


def _from_zeiss(record: Any, page: TiffPage) -> float | None:
    if not isinstance(record, dict):
        return None
    stored = re.match(r"\d+", _text(record.get("dp_image_store")))
    if stored is not None and stored[0] != str(page.imagewidth):
        return None
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if (size := length_um(_text(record.get(key)))) is not None:
            return size
    return None


def _text(entry: Any) -> str:
    """What stands after the title of an entry: (name, value, unit), or (name, "value unit")."""
    return " ".join(str(part) for part in entry[1:]) if isinstance(entry, (tuple, list)) else ""


def _from_tescan(header: Any, page: TiffPage) -> float | None:
    if isinstance(header, (tuple, list)):
        header = bytes(byte for byte in header if isinstance(byte, int) and 0 <= byte < 256)
    text = header.decode("latin-1") if isinstance(header, bytes) else str(header or "")
    found = find_in_header(text.replace("\0", "\n").replace("\r", "\n"), page.imagewidth)
    return None if found is None else found[0]


def _from_olympus(record: Any) -> float | None:
    told = record if isinstance(record, dict) else {}
    return square(*(length_um(f"{told.get(key)} m") for key in ("pixelsizex", "pixelsizey")))


def _from_ome(tiff: TiffFile, number: int) -> float | None:
    if not tiff.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None
    pictures = [node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"]
    if not pictures:
        return None
    told = pictures[min(number, len(pictures) - 1)]
    x, y = (
        length_um(f"{told.get(f'PhysicalSize{axis}')} {told.get(f'PhysicalSize{axis}Unit', 'um')}")
        for axis in "XY"
    )
    return square(x, y)


def _from_imagej(tiff: TiffFile, page: TiffPage) -> float | None:
    told = tiff.imagej_metadata or {}
    unit = str(told.get("unit", ""))
    if unit_um(str(told.get("yunit", unit))) != unit_um(unit):
        return None
    return _resolution_um(page, unit)  # ImageJ writes pixels per its own unit and ignores the tag's


def _resolution_um(page: TiffPage, unit: str) -> float | None:
    """Pixel size from the resolution tags, which count pixels per ``unit``."""
    one = unit_um(unit)
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if one is None or tag is None or not all(tag.value):
            return None
        sizes.append(tag.value[1] / tag.value[0] * one)
    size = square(*sizes)
    if one in _OF_PRINTS and size is not None and size > _LARGEST_BY_RESOLUTION_UM:
        return None
    return size
