"""Making a published or annotated data set one to train on: image by image, complete or not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.events import Finished, Progress
from phaseguide.jobs.data.writing import Converted, write_data

CONVERTING = "Converting images"


def convert_data(
    folder: str | Path, out: str | Path, options: LayoutOptions | None = None, layout: str | None = None
) -> Iterator[Progress | Finished[Converted]]:
    """Write a folder in any known layout as a data set: images/, labels/, scheme.json, folds.json or splits.json.

    One image is in memory at a time. ``out`` appears when it is complete; until then it grows in a hidden folder
    beside it. A run that was stopped, by whatever, goes on there when it is called again: what was written of the same
    files with the same options stays.

    Parameters
    ----------
    folder : str or Path
        In one of the layouts of `phaseguide.datasets.layouts.registry`.
    out : str or Path
        Folder to be made; one that is there must be empty.
    options : LayoutOptions, optional
        What the files leave open.
    layout : str, optional
        Name of the layout; by default what the folder looks like.

    Yields
    ------
    Progress
        Images written of all.
    Finished
        With `Converted`.

    Raises
    ------
    DatasetError
        The first image or annotation that cannot be used, with file and line or entry; or ``out`` is taken.
    PhaseguideError
        A file cannot be read or written, or another run writes the same folder.
    """
    from phaseguide.datasets.conversion import check_out, check_outside
    from phaseguide.datasets.layouts.registry import open_layout

    folder, out, options = Path(folder), Path(out), options or LayoutOptions()
    listing = open_layout(folder, options, layout)
    check_out(out)
    check_outside(folder, out)
    told = options.to_dict()
    del told["splits"]  # which images are written, not what becomes of one
    yield from write_data(listing, out, CONVERTING, told)
