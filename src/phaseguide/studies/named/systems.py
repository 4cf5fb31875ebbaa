"""Every published system, with each guidance and without."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from phaseguide.models.architectures import NNUNET, SAM
from phaseguide.option_values import SYSTEMS
from phaseguide.studies.networks.comparison import (
    Comparison,
    check_varied,
    compare,
    comparison_figure,
    comparison_lines,
)
from phaseguide.studies.networks.recipes import GUIDED, pair_of
from phaseguide.studies.networks.sam_base import RANKS, base_for
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.study import Given, Numbers, Study

ARCHITECTURES = ("unet", "unetplusplus", *SYSTEMS, SAM)
CONDITIONS = tuple(f"{architecture}-{guidance}" for architecture in ARCHITECTURES for guidance in GUIDED)


def _cannot(given: Given) -> dict[str, str]:
    """Conditions that cannot be run here, with the reason."""
    found = {}
    if find_spec("monai") is None:
        why = "needs MONAI (pip install 'napari-phaseguide[systems]')"
        found = {f"{NNUNET}-{guidance}": why for guidance in GUIDED}
    return found


def run(given: Given) -> Iterator[Any]:
    """Train and judge every system on every data set."""
    check_varied(given, "systems", ("architecture", "guidance"))
    with base_for(given, [name for name in CONDITIONS if name.startswith(f"{SAM}-")]) as base:
        conditions: dict[str, Condition] = {}
        for architecture in ARCHITECTURES:
            sam = architecture == SAM
            changes = base.settings(RANKS[given.size]) if sam else {}
            note = base.note if sam else ""
            conditions |= pair_of(given.size, architecture, changes, note=note)
        comparison = Comparison(conditions, cannot=_cannot(given))
        yield from compare(given, lambda data: comparison)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables."""
    return [
        "Every network is trained by the published recipe of the Phase Learning Module (all at once, exact ratios, all "
        "windows of an overlapping grid, Adam at a constant rate), unguided ones by the same without ratios. Published "
        "numbers are of larger networks than those of small, some of them pretrained on other images.",
        "",
        *comparison_lines(numbers),
    ]


STUDY = Study(
    name="systems",
    question="What do published systems score on these data, without a ratio, with PLM and with CCRM?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=comparison_figure("Published systems"),
)
