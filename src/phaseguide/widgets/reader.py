"""Reader of TIFF micrographs: scale from the microscope's tags, and the rows of the information bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LayerData = tuple[Any, dict[str, Any], str]
MICROMETRE = "µm"


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return `read_layers` for TIFF files, None for anything else."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(str(p).lower().endswith((".tif", ".tiff")) for p in paths) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read one or several TIFF micrographs, one image layer each.

    Raises
    ------
    MicrographError
        A file that cannot be read; the message names it.
    """
    from napari.utils.notifications import show_warning

    from phaseguide.micrographs.reading import read_micrograph

    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else list(path):
        micrograph = read_micrograph(one)
        for notice in micrograph.notices:
            show_warning(f"{Path(one).name}: {notice}")
        options: dict[str, Any] = {
            "name": Path(one).stem,
            "rgb": micrograph.is_rgb,
            "metadata": {
                "phaseguide": {
                    "pixel_size_um": micrograph.pixel_size_um,
                    "scale_source": micrograph.scale_source,
                    "sha256": micrograph.sha256,
                    "margins": micrograph.margins,
                    "notices": list(micrograph.notices),
                }
            },
        }
        if micrograph.pixel_size_um is not None:
            # The distance of planes is in no tag, so it stays one step a plane.
            leading = 1 if micrograph.is_stack else 0
            options["scale"] = (1.0,) * leading + (micrograph.pixel_size_um,) * 2
            options["units"] = ("pixel",) * leading + (MICROMETRE,) * 2
        layers.append((micrograph.data, options, "image"))
    return layers
