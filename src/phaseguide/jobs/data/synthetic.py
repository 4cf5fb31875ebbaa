"""Drawing synthetic micrographs of known composition as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phaseguide.datasets.synthetic.settings import SyntheticSettings
from phaseguide.events import Finished, Progress
from phaseguide.jobs.data.writing import Converted, write_data

DRAWING = "Drawing images"


def draw_data(
    out: str | Path, settings: SyntheticSettings | None = None
) -> Iterator[Progress | Finished[Converted]]:
    """Draw a data set of synthetic micrographs: images/, labels/, scheme.json, and origin.json with all settings.

    One image is in memory at a time. ``out`` appears when it is complete, and a stopped run goes on, as with
    `phaseguide.jobs.data.convert.convert_data`.

    Parameters
    ----------
    out : str or Path
        Folder to be made; one that is there must be empty.
    settings : SyntheticSettings, optional
        What is drawn. The same settings give the same bytes, and another ``count`` the same images as far as both go.

    Yields
    ------
    Progress
        Images written of all.
    Finished
        With `Converted`; shares in [0, 1].

    Raises
    ------
    DatasetError
        ``out`` is taken.
    PhaseguideError
        A file cannot be written, or another run writes the same folder.
    """
    from phaseguide import __version__
    from phaseguide.datasets.conversion import check_out
    from phaseguide.datasets.synthetic.drawing import list_synthetic

    out, settings = Path(out), settings or SyntheticSettings()
    check_out(out)
    # What the recipe had to add is told too, so that a later version with other defaults draws the same.
    settings = settings.changed(phases=settings.scheme.names, fractions=settings.shares)
    listing, told = list_synthetic(settings, out), settings.to_dict()
    yield from write_data(listing, out, DRAWING, {}, synthetic=True, settings=told, phaseguide=__version__)
