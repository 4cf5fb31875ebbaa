"""Looking at a published or annotated data set: what its folder holds, and what of it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.survey import Report
from phaseguide.events import Finished, Progress

CHECKING = "Checking images"


def check_data(
    folder: str | Path, options: LayoutOptions | None = None, layout: str | None = None
) -> Iterator[Progress | Finished[Report]]:
    """Read every image of a folder with its labels, one at a time, and say what it holds.

    An image that cannot be used does not end it: the sentence that names its file and line or entry is among the
    report's ``problems``, in the order of the images.

    Parameters
    ----------
    folder : str or Path
        In one of the layouts of `phaseguide.datasets.layouts.registry`.
    options : LayoutOptions, optional
        What the files leave open.
    layout : str, optional
        Name of the layout; by default what the folder looks like.

    Yields
    ------
    Progress
        Images read of all.
    Finished
        With a `Report`; shares in [0, 1].

    Raises
    ------
    DatasetError
        The folder or its annotations as a whole cannot be used; file and line are named.
    """
    from phaseguide.datasets.layouts.registry import open_layout
    from phaseguide.datasets.survey import look_at, report_on
    from phaseguide.errors import as_user_error

    listing = open_layout(folder, options, layout)
    seen, problems = [], []
    for number, entry in enumerate(listing.entries):
        yield Progress(CHECKING, number, len(listing.entries))
        try:
            seen.append(look_at(entry.stem, entry.read()))
        except Exception as error:
            problems.append(as_user_error(error, entry.stem))
    yield Finished(report_on(listing, seen, problems))
