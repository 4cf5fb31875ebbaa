"""Writing a listed data set image by image; a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.datasets.reading.base import Listing
from phaseguide.datasets.survey import Report
from phaseguide.events import Finished, Progress


@dataclass(frozen=True)
class Converted:
    """A data set that was written: its folder, what it holds, and how many images an earlier run had written."""

    out: Path
    report: Report
    resumed: int


def write_data(
    listing: Listing, out: Path, stage: str, told: Mapping[str, Any], **origin: Any
) -> Iterator[Progress | Finished[Converted]]:
    """Write the images of a listing with their labels as a data set, one in memory at a time.

    Parameters
    ----------
    listing : Listing
        What is written.
    out : Path
        Folder to be made; `phaseguide.datasets.conversion.check_out` has looked at it.
    stage : str
        What is being done, in words a user reads.
    told : mapping
        What was said that decides what becomes of an image; what a stopped run wrote with the same stays.
    **origin
        What ``origin.json`` has besides.

    Yields
    ------
    Progress
        Images written of all.
    Finished
        With `Converted`.

    Raises
    ------
    PhaseguideError
        An image cannot be read or written, or another run writes the same folder.
    """
    from phaseguide.datasets.conversion import Staging, held
    from phaseguide.datasets.survey import report_on

    with held(out):
        staging = Staging(out, listing, told)
        seen, resumed = [], 0
        for number, entry in enumerate(listing.entries):
            yield Progress(stage, number, len(listing.entries))
            facts = staging.done(entry)
            resumed += facts is not None
            seen.append(facts or staging.write(entry, entry.read()))
        report = report_on(listing, seen)
        staging.finish(report, **origin)
    yield Finished(Converted(out, report, resumed))
