"""Reader of TIFF files: a micrograph with its scale and information bar, a label map of the program, or a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.widgets.layers.roles import MICROMETRE

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return `read_layers` for TIFF files, None for anything else."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(str(p).lower().endswith((".tif", ".tiff")) for p in paths) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read a TIFF file, or several as one stack, which is what napari wants when it hands over a list.

    Micrographs become an image layer, label maps that the program wrote a labels layer.

    Raises
    ------
    MicrographError
        A file that cannot be read, or files that are no stack; the message names the file.
    """
    paths = [Path(one) for one in ([path] if isinstance(path, str) else path)]
    labels = [_is_label_map(one) for one in paths]
    if any(labels) and not all(labels):
        first, other = paths[labels.index(True)], paths[labels.index(False)]
        raise MicrographError(
            f"{other}: is a micrograph and {first.name} a label map, so they are no stack. Open them one by one."
        )
    return [_read_labels(paths) if all(labels) else _read_micrographs(paths)]


def _is_label_map(path: Path) -> bool:
    from phaseguide.micrographs.label_maps import is_own_label_map
    from phaseguide.micrographs.records import result_record

    return is_own_label_map(path) or result_record(path) is not None


def _read_micrographs(paths: list[Path]) -> LayerData:
    from napari.utils.notifications import show_warning

    from phaseguide.micrographs.margins import of_stack
    from phaseguide.micrographs.reading import read_micrograph

    planes = [read_micrograph(path) for path in paths]
    notices = [f"{plane.path.name}: {notice}" for plane in planes for notice in plane.notices]
    first = planes[0]
    pixel_size, told = first.pixel_size_um, first.scale_source
    if any(plane.pixel_size_um != pixel_size for plane in planes):
        pixel_size, told = None, "scale unknown"
        notices.append(f"{_name(paths)}: the files differ in the size of a pixel, so the scale is left out.")
    for notice in notices:
        show_warning(notice)
    data = _stacked(paths, [plane.data for plane in planes], stacks=[plane.is_stack for plane in planes])
    mark = {
        "pixel_size_um": pixel_size,
        "scale_source": told,
        "margins": first.margins
        if len(planes) == 1
        else of_stack([plane.margins for plane in planes], data.shape[1:3]),
        "sha256": first.sha256 if len(planes) == 1 else None,
        "notices": notices if len(planes) > 1 else list(first.notices),
    }
    about = {"name": _name(paths), "rgb": first.is_rgb, "metadata": {"phaseguide": mark}}
    return data, {**about, **_scale(pixel_size, data.ndim - first.is_rgb)}, "image"


def _read_labels(paths: list[Path]) -> LayerData:
    from phaseguide.micrographs.label_maps import read_label_map
    from phaseguide.micrographs.reading import read_micrograph

    planes = [read_label_map(path) for path in paths]
    data = _stacked(paths, planes, stacks=[plane.ndim > 2 for plane in planes])
    sizes = {read_micrograph(path).pixel_size_um for path in paths}
    return (
        data,
        {
            "name": _name(paths),
            **_colours(paths),
            **_scale(sizes.pop() if len(sizes) == 1 else None, data.ndim),
        },
        "labels",
    )


def _stacked(paths: list[Path], planes: list[NDArray[Any]], *, stacks: list[bool]) -> NDArray[Any]:
    """Put planes of one size and type onto one another; what is alone stays as it is."""
    if len(planes) == 1:
        return planes[0]
    first = planes[0]
    for path, plane, is_stack in zip(paths, planes, stacks, strict=True):
        if is_stack:
            raise MicrographError(f"{path}: is a stack itself. Open it alone.")
        if (plane.shape, plane.dtype) != (first.shape, first.dtype):
            raise MicrographError(
                f"{path}: is {_kind(plane)}, but {paths[0].name} is {_kind(first)}. A stack has planes of one size "
                "and type; open the files one by one."
            )
    return np.stack(planes)


def _kind(plane: NDArray[Any]) -> str:
    colours = " in colour" if plane.ndim > 2 else ""
    return f"{plane.shape[0]} x {plane.shape[1]} px of {plane.dtype}{colours}"


def _name(paths: list[Path]) -> str:
    return paths[0].stem if len(paths) == 1 else f"{paths[0].stem} to {paths[-1].stem}"


def _scale(pixel_size_um: float | None, ndim: int) -> dict[str, Any]:
    if pixel_size_um is None:
        return {}
    # The distance of planes is in no tag, so it stays one step a plane.
    leading = ndim - 2
    return {
        "scale": (1.0,) * leading + (pixel_size_um,) * 2,
        "units": ("pixel",) * leading + (MICROMETRE,) * 2,
    }


def _colours(paths: list[Path]) -> dict[str, Any]:
    """Colours and names of the phases that the record beside a result tells, if all files have the same."""
    from phaseguide.errors import SchemeError
    from phaseguide.micrographs.records import result_record
    from phaseguide.phases import PhaseScheme
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features

    schemes = set()
    for path in paths:
        record = result_record(path)
        if record is None:
            return {}
        try:
            schemes.add(PhaseScheme.read(record))
        except SchemeError:
            return {}
    if len(schemes) > 1:
        return {}
    scheme = schemes.pop()
    return {"colormap": phase_colormap(scheme), "features": phase_features(scheme)}
