"""Regions in files: read for the command line (outlines with ratios as text), and as rows of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.errors import MicrographError, PhaseguideError, RatioError
from phaseguide.files.json_files import read_json
from phaseguide.micrographs.polygons import polygon_mask
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio, parse_ratio
from phaseguide.segmentation.constraints.regions import Region, RegionShares, Uncertainty, check_regions

FORM = (
    'Expected {"regions": [{"name": "coating", "polygon": [[row, column], [row, column], [row, column]], '
    '"ratio": "oxide=20%"}]} with rows and columns in pixels.'
)


def read_regions(
    path: str | Path, shape: tuple[int, int], scheme: PhaseScheme, uncertainty: Uncertainty = 0.3
) -> tuple[Region, ...]:
    """Read regions from a JSON file.

    The file is ``{"regions": [{"name": ..., "polygon": [[row, column], ...], "ratio": "oxide=20%"}]}``. Rows
    and columns are in px, (0, 0) the centre of the top left pixel; of overlapping regions the later wins. May
    be left out: ``name``, ``ratio`` (the region is only measured), and ``uncertainty``, one number in log-ratio
    space or a list with one for each phase.

    Parameters
    ----------
    path : str or Path
    shape : (int, int)
        Height and width of the image that the regions are on.
    scheme : PhaseScheme
    uncertainty : float or tuple of float
        Of regions that state none.

    Returns
    -------
    tuple of Region
        As `check_regions` returns them.

    Raises
    ------
    MicrographError
        The file cannot be read or is of another form, or a region has no pixel of the image.
    RatioError
        A ratio or an uncertainty that cannot be meant.
    """
    path = Path(path)
    try:
        data = read_json(path)
    except OSError as error:
        raise MicrographError(
            f"{path}: cannot be read ({error.strerror or error}). Check the path."
        ) from error
    except ValueError as error:
        raise MicrographError(f"{path}: not valid JSON ({error}). {FORM}") from error
    rows = data.get("regions") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise MicrographError(f"{path}: holds no list of regions. {FORM}")
    try:
        regions = [_read(row, number, shape, scheme, uncertainty) for number, row in enumerate(rows, start=1)]
        return check_regions(regions, shape, scheme)
    except PhaseguideError as error:
        raise type(error)(f"{path}: {error}") from error


def _read(
    row: dict[str, Any], number: int, shape: tuple[int, int], scheme: PhaseScheme, uncertainty: Uncertainty
) -> Region:
    name = str(row.get("name") or f"Region {number}")
    unknown = sorted(row.keys() - {"name", "polygon", "ratio", "uncertainty"})
    if unknown:
        raise MicrographError(
            f"Region {name!r}: unknown entry {unknown[0]!r}; there are name, polygon, ratio and uncertainty."
        )
    stated = row.get("uncertainty", uncertainty)
    numbers = list(stated) if isinstance(stated, list | tuple) else [stated]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise RatioError(
            f"Region {name!r}: the uncertainty {stated!r} is not a number. Write 0.3, or leave it out."
        )
    try:
        mask = polygon_mask(row.get("polygon", ()), shape)
    except (MicrographError, TypeError, ValueError, OverflowError) as error:
        raise MicrographError(
            f"Region {name!r}: its polygon is no outline; write at least three corners, each [row, column] in pixels."
        ) from error
    try:
        asked = parse_ratio(str(row.get("ratio", "")), scheme)
    except RatioError as error:
        raise RatioError(f"Region {name!r}: {error}") from error
    return Region(name, mask, asked, tuple(stated) if isinstance(stated, list | tuple) else stated)


def region_rows(regions: Sequence[RegionShares], scheme: PhaseScheme) -> list[dict[str, Any]]:
    """Return one JSON-able row a region: its name, size, and the shares of its phases, None where unknown."""

    def share(ratio: Ratio | None, index: int) -> float | None:
        return None if ratio is None or np.isnan(ratio[index]) else float(ratio[index])

    return [
        {
            "name": region.name,
            "pixels": region.pixels,
            "uncertainty": region.uncertainty,
            "constrained": region.asked is not None,
            "phases": [
                {
                    "label": phase.label,
                    "name": phase.name,
                    "asked": share(region.asked, i),
                    "imposed": share(region.imposed, i),
                    "achieved": share(region.achieved, i),
                    "own": share(region.own, i),
                }
                for i, phase in enumerate(scheme)
            ],
        }
        for region in regions
    ]
