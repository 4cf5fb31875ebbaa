"""Making a published or annotated data set one to train on: image by image, complete or not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.survey import Report
from phaseguide.events import Finished, Progress

CONVERTING = "Converting images"


@dataclass(frozen=True)
class Converted:
    """A data set that was written: its folder, what it holds, and how many images an earlier run had written."""

    out: Path
    report: Report
    resumed: int


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
    from phaseguide.datasets.conversion import Staging, check_out, held
    from phaseguide.datasets.layouts.registry import open_layout
    from phaseguide.datasets.survey import report_on

    folder, out, options = Path(folder), Path(out), options or LayoutOptions()
    listing = open_layout(folder, options, layout)
    check_out(folder, out)
    with held(out):
        staging = Staging(out, listing, options)
        seen, resumed = [], 0
        for number, entry in enumerate(listing.entries):
            yield Progress(CONVERTING, number, len(listing.entries))
            facts = staging.done(entry)
            resumed += facts is not None
            seen.append(facts or staging.write(entry, entry.read()))
        report = report_on(listing, seen)
        staging.finish(report)
    yield Finished(Converted(out, report, resumed))
