"""Decode a TIFF file: which of its pictures, and its samples as a viewer shows them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs import colours
from phaseguide.micrographs.decoded import Decoded, first_known, lossy_sentence
from phaseguide.micrographs.picture_size import check_size
from phaseguide.micrographs.sidecars import find_beside
from phaseguide.micrographs.tiff_metadata import data_bar_rows, find_in_resolution, find_in_tags

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

_COLOURS = {
    "MINISWHITE": 1, "MINISBLACK": 1, "PALETTE": 1, "MASK": 1, "RGB": 3, "YCBCR": 3, "CIELAB": 3, "ICCLAB": 3,
    "SEPARATED": 4,
}  # fmt: skip
# Storage that changes values, or may: nothing in a file tells a lossless JPEG 2000 for certain.
_LOSSY = {
    "OJPEG", "JPEG", "ALT_JPEG", "JPEG_LOSSY", "JPEG2000", "JPEG_2000_LOSSY", "APERIO_JP2000_YCBC",
    "APERIO_JP2000_RGB", "JPEGXR", "JPEGXR_NDPI", "JPEGXL", "JPEGXL_DNG", "WEBP", "WEBP_DEPRECATED", "LERC",
}  # fmt: skip
_BY_PILLOW = ("YCBCR", "SEPARATED", "CIELAB", "ICCLAB")
_MOST_NAMED = 4
_EXPORT = "Export it as TIFF in grey or RGB, without compression or with LZW."

Pixels = NDArray[Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Choice:
    """What is read: one picture, or several alike; the first page, its number in the file, and what to tell."""

    pictures: list[TiffPageSeries]
    page: TiffPage
    number: int
    notices: tuple[str, ...]


def decode_tiff(path: Path, *, as_labels: bool) -> Decoded:
    """Read the largest picture of a TIFF file, its equal pages as a stack; any error of a decoder on a damaged file
    passes through.

    `MicrographError`, without the name of the file, for a picture that cannot be shown.
    """
    with _open(path) as tiff:
        choice = _choose(tiff)
        page, series = choice.page, choice.pictures[0]
        _check_compression(page, as_labels)
        check_size((len(choice.pictures), *series.shape), series.dtype.itemsize)
        try:
            parts = [_planes(one.asarray().reshape(one.shape), one.axes) for one in choice.pictures]
        except NotImplementedError as error:
            raise MicrographError(f"is stored in a way that is not supported ({error}). {_EXPORT}") from error
        samples = np.concatenate(parts) if len(parts) > 1 else parts[0]
        samples = samples[0] if len(samples) == 1 else samples
        pixels, told = _shown(samples, page, as_labels)
        pixels = colours.upright(pixels, (orientation := _orientation(page)), pixels.ndim - 3)
        clear = None if as_labels else _transparent(samples, page)
        clear = None if clear is None else colours.upright(clear, orientation, clear.ndim - 2)
        size, source = first_known(
            (
                *find_in_tags(tiff, page, choice.number),
                find_beside(path, page.imagewidth),
                (find_in_resolution(page), "TIFF resolution tags"),
            )
        )
        bar = data_bar_rows(tiff, page) if orientation == 1 else 0
    pixels = colours.grey_if_grey(pixels)
    return Decoded(pixels, size, source, bar, choice.notices + told, transparent=clear)


def _open(path: Path) -> TiffFile:
    """Open a file and find its pictures; where the note that should tell of them is damaged, page by page."""
    import tifffile

    # The formats that are switched off here would open further files that this one names. Pages are compared one by
    # one, since a sample of them does not tell a thumbnail in their midst.
    switches: dict[str, Any] = dict.fromkeys(("_multifile", "is_mmstack", "is_ndtiff", "is_uniform"), False)
    tiff = tifffile.TiffFile(path, **switches)
    try:
        if tiff.series:
            return tiff
    except Exception:  # what stands in a description is anybody's, and so is what it makes tifffile raise
        _log.info("%s: its description tells no pictures.", path, exc_info=True)
    tiff.close()
    switches |= dict.fromkeys(("is_ome", "is_imagej", "is_shaped"), False)
    return tifffile.TiffFile(path, **switches)


def _choose(tiff: TiffFile) -> _Choice:
    """Take the largest picture, the first of several; a mask only where there is nothing else."""
    pictures = [(number, level) for number, series in enumerate(tiff.series) for level in series.levels]
    pictures = [(number, level) for number, level in pictures if level.keyframe.imagewidth]
    if not pictures:
        raise ValueError("there is no picture in it")

    def worth(picture: tuple[int, TiffPageSeries]) -> tuple[bool, int]:
        page = picture[1].keyframe
        return page.photometric != 4, page.imagelength * page.imagewidth

    number, chosen = max(pictures, key=worth)
    if any(page is None for page in chosen):
        raise MicrographError(
            "is one of several files that belong together, and pages of it lie in the others. " + _EXPORT
        )
    alike = [level for _, level in pictures if _kind(level) == _kind(chosen)]
    others = [level for _, level in pictures if level not in alike]
    page, notices = chosen.keyframe, []
    if others:
        copies = {id(level) for series in tiff.series for level in series.levels[1:]}
        named = [_name(level, id(level) in copies) for level in others[:_MOST_NAMED]]
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        notices.append(
            f"The file holds pictures of several kinds. The largest is read, {page.imagewidth} x {page.imagelength} px "
            f"(width x height); left out: {', '.join(named)}{more}."
        )
    if tiff.is_ome and chosen.kind != "ome":
        notices.append("Its OME header names further files; only what this one holds is read.")
    channels = dict(zip(chosen.axes, chosen.shape, strict=True)).get("C", 1)
    if channels > 1:
        notices.append(
            f"Its {channels} channels are read as planes of a stack, though they show one field. Save the channel that "
            "tells the phases as a file of its own."
        )
    return _Choice(alike, page, number, tuple(notices))


def _kind(picture: TiffPageSeries) -> tuple[object, ...]:
    """What pictures share that can be planes of one stack."""
    return picture.shape, picture.axes, picture.dtype, picture.keyframe.photometric


def _name(picture: TiffPageSeries, is_copy: bool) -> str:
    page = picture.keyframe
    place = "a smaller copy" if is_copy or not isinstance(page.index, int) else f"page {page.index + 1}"
    return f"{place} ({page.imagewidth} x {page.imagelength} px)"


def _check_compression(page: TiffPage, as_labels: bool) -> None:
    name = getattr(page.compression, "name", f"number {page.compression}")
    if as_labels and name in _LOSSY:
        raise MicrographError(lossy_sentence(f"TIFF with {name} compression"))


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get(274)
    return tag.value if tag is not None and isinstance(tag.value, int) else 1


def _planes(array: Pixels, axes: str) -> Pixels:
    """Bring a picture into the shape (Z, H, W, S), whatever the order of its axes."""
    if "Y" not in axes or "X" not in axes:
        raise MicrographError(f"holds no images (its axes are {axes}). {_EXPORT}")
    length = dict(zip(axes, array.shape, strict=True))
    tail = "YXS" if "S" in axes else "YX"
    order = [i for i, axis in enumerate(axes) if axis not in tail] + [axes.index(axis) for axis in tail]
    array = array.transpose(order).reshape(-1, length["Y"], length["X"], length.get("S", 1))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _shown(samples: Pixels, page: TiffPage, as_labels: bool) -> tuple[Pixels, tuple[str, ...]]:
    """Return (..., H, W, 1 or 3) as a viewer shows it, or the stored values of labels."""
    kind = getattr(page.photometric, "name", str(page.photometric))
    if kind not in _COLOURS:
        raise MicrographError(f"is stored in the colour space {kind}, which is not supported. {_EXPORT}")
    if getattr(page.compression, "name", "") in _LOSSY and kind in ("YCBCR", "CIELAB", "ICCLAB"):
        if kind != "YCBCR":
            raise MicrographError(
                f"is stored in the colour space {kind} as JPEG, which is not supported. {_EXPORT}"
            )
        kind = "RGB"  # the decoder of JPEG returns that
    have = samples.shape[-1]
    if kind in ("YCBCR", "CIELAB", "ICCLAB", "RGB") and have == 1:
        kind = "MINISBLACK"
    needed, notices = _COLOURS[kind], tuple[str, ...]()
    if have < needed or have > needed + 1 or (kind == "SEPARATED" and _value(page, 332, 1) != 1):
        raise MicrographError(
            f"has {have} channels ({kind}), which is neither grey nor RGB nor CMYK. Export one of them."
        )
    painted, bits = samples[..., :needed], page.bitspersample
    extra = int(page.extrasamples[0]) if page.extrasamples else 0
    if have > needed and extra == 1 and not as_labels and samples.dtype.kind in "uf":
        painted = colours.without_premultiplication(painted, samples[..., needed])
    elif have > needed and extra == 0 and needed == 1:
        notices = (
            "Its second channel is left out; save it as a file of its own if it is the one that is meant.",
        )
    if as_labels and needed == 1:
        return painted.astype(np.uint8) if painted.dtype == np.bool_ else painted, notices
    if kind == "PALETTE":
        if page.colormap is None or painted.max() >= page.colormap.shape[1]:
            raise MicrographError(f"has colours that its palette does not tell. {_EXPORT}")
        return colours.from_palette(painted[..., 0], page.colormap), notices
    if kind == "MINISWHITE":
        painted = colours.inverted(painted, bits)
    if kind in _BY_PILLOW and painted.dtype.kind not in "iu":
        raise MicrographError(
            f"holds {kind} colours of type {painted.dtype}, which is not supported. {_EXPORT}"
        )
    if kind in _BY_PILLOW:
        return colours.by_pillow(painted, kind), notices
    return colours.full_range(painted, bits), notices


def _transparent(samples: Pixels, page: TiffPage) -> NDArray[np.bool_] | None:
    """Where the last channel says that nothing is to be seen; None if it is no transparency."""
    is_alpha = bool(page.extrasamples) and int(page.extrasamples[0]) in (1, 2) and samples.shape[-1] in (2, 4)
    return samples[..., -1] == 0 if is_alpha else None


def _value(page: TiffPage, code: int, otherwise: Any) -> Any:
    tag = page.tags.get(code)
    return otherwise if tag is None else tag.value
