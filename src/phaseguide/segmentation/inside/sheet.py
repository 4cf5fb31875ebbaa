"""What a look inside found, as files: a PNG for each block, a table of them, and one sheet with all."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.records import write_result
from phaseguide.models.segmenter import intensity_limits
from phaseguide.plain_text import visible
from phaseguide.segmentation.inside.views import InsideView, Side
from phaseguide.segmentation.saving import png_bytes

ACROSS = 8
"""Blocks side by side on the sheet; more go below."""

_CELL_IN = 1.75
_TITLE_WIDTH = 24


@dataclass(frozen=True)
class InsideFiles:
    """The files of one look: the sheet, the table, and the pictures in the order of the views."""

    sheet: Path
    table: Path
    pictures: tuple[Path, ...]


def inside_files(out_dir: str | Path, stem: str, views: Sequence[InsideView] = ()) -> InsideFiles:
    """Return the names under which `save_inside` writes, without writing."""
    folder = Path(out_dir)
    pictures = (
        folder / f"{stem}_inside_{number:02d}_{view.encoder}_{_slug(view.name)}.png"
        for number, view in enumerate(views, start=1)
    )
    return InsideFiles(folder / f"{stem}_inside.png", folder / f"{stem}_inside.json", tuple(pictures))


def save_inside(
    out_dir: str | Path,
    stem: str,
    views: Sequence[InsideView],
    image: NDArray[Any],
    *,
    model_name: str,
    base_name: str = "",
    replace: bool = True,
) -> InsideFiles:
    """Write ``<stem>_inside.png`` (the sheet), ``<stem>_inside.json`` and a PNG of each view.

    In the PNGs of the views a pixel is a token. The table says which pixels of the image it covers.
    All of them change together or not at all; see `phaseguide.micrographs.records.write_result`.

    Parameters
    ----------
    out_dir : path
        Made if it is missing.
    stem : str
    views : sequence of InsideView
    image : ndarray, shape (H, W) or (H, W, 3)
        The whole image.
    model_name, base_name : str
        For titles; the base's is empty where there is none, or where it is the model without adapters.
    replace : bool
        Whether files of an earlier look may be replaced.

    Raises
    ------
    OutputError
        A file that no earlier look wrote has one of the names.
    PhaseguideError
        A file cannot be written.
    """
    files = inside_files(out_dir, stem, views)
    parts = {path: png_bytes(view.rgb) for path, view in zip(files.pictures, views, strict=True)}
    parts[files.sheet] = sheet_png(views, image, model_name=model_name, base_name=base_name)
    rows = [{**view_row(view), "file": path.name} for path, view in zip(files.pictures, views, strict=True)]
    table = {"model": model_name, "base": base_name, "views": rows}
    write_result(files.table, table, parts, replace=replace)
    return files


def view_row(view: InsideView) -> dict[str, Any]:
    """What there is to tell of a view, as plain values."""
    return {
        "name": view.name,
        "encoder": view.encoder,
        "explained": [round(share, 6) for share in view.explained],
        "stride": list(view.stride),
        "origin": list(view.origin),
        "size": list(view.rgb.shape[:2]),
    }


def sheet_png(
    views: Sequence[InsideView], image: NDArray[Any], *, model_name: str, base_name: str = ""
) -> bytes:
    """Draw all views: blocks across, the base encoder above the adapted one, guidance below, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    part = _part_of(image, views)
    blocks, guided = _columns(views)
    bands = [blocks[i : i + ACROSS] for i in range(0, len(blocks), ACROSS)]
    sides: list[Side] = ["base", "adapted"] if any(v.encoder == "base" for v in views) else ["adapted"]
    lines: list[tuple[str, list[InsideView | None]]] = [
        (side, [found.get(side) for found in band]) for band in bands for side in sides
    ]
    lines += [("guidance", list(guided[i : i + ACROSS])) for i in range(0, len(guided), ACROSS)]
    across = 1 + max(len(cells) for _, cells in lines)
    height, width = part.shape[:2]
    cell = _CELL_IN * min(1.6, max(0.6, height / width)) + 0.5
    figure = Figure(figsize=(across * _CELL_IN, len(lines) * cell + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(lines), across, squeeze=False)
    words = {
        "base": f"base ({base_name})" if base_name else "base",
        "adapted": "adapted",
        "guidance": "guidance",
    }
    if sides == ["adapted"]:
        words["adapted"] = "encoder"
    for row, (kind, cells) in enumerate(lines):
        for axis in axes[row]:
            axis.set_axis_off()
        axes[row, 0].imshow(part, cmap="gray")
        axes[row, 0].set_title(visible(words[kind]), fontsize=9, fontweight="bold", parse_math=False)
        for axis, view in zip(axes[row, 1:], cells, strict=False):
            if view is not None:
                axis.imshow(view.rgb, interpolation="nearest", extent=_extent(view))
                axis.set(xlim=(0, width), ylim=(height, 0))
                axis.set_title(visible(_title(view)), fontsize=7, parse_math=False)
    figure.suptitle(
        f"Inside {visible(model_name)}: principal components 1, 2, 3 of the tokens as red, green, blue"
        + ("; per block one projection for both encoders" if len(sides) > 1 else ""),
        parse_math=False,
        fontsize=9,
        wrap=True,
    )  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def _columns(views: Sequence[InsideView]) -> tuple[list[dict[str, InsideView]], list[InsideView]]:
    """Blocks by name with their views by encoder, and the views after guidance."""
    guided = [view for view in views if view.guided]
    blocks: dict[str, dict[str, InsideView]] = {}
    for view in views:
        if not view.guided:
            blocks.setdefault(view.name, {})[view.encoder] = view
    return list(blocks.values()), guided


def _part_of(image: NDArray[Any], views: Sequence[InsideView]) -> NDArray[np.float32]:
    """The part of the image that was looked at, grey, 0..1."""
    (top, left), finest = views[0].origin, views[0]
    rows = slice(top, top + round(finest.rgb.shape[0] * finest.stride[0]))
    columns = slice(left, left + round(finest.rgb.shape[1] * finest.stride[1]))
    low, high = intensity_limits(image)
    part = np.asarray(image[rows, columns], dtype=np.float32)
    grey = part.mean(axis=-1) if part.ndim == 3 else part
    shown: NDArray[np.float32] = np.clip((grey - low) / max(high - low, 1e-12), 0, 1)
    return shown


def _extent(view: InsideView) -> tuple[float, float, float, float]:
    """Left, right, bottom, top in px of the part."""
    height, width = (n * s for n, s in zip(view.rgb.shape[:2], view.stride, strict=True))
    return 0, width, height, 0


def _title(view: InsideView) -> str:
    import textwrap

    shares = " + ".join(f"{share * 100:.0f}" for share in view.explained)
    return "\n".join([*textwrap.wrap(view.name, _TITLE_WIDTH), f"{shares} %"])


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "_", name).strip("_")[:60]
