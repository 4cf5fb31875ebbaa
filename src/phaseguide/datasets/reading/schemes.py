"""Which phases a folder has: those of its layout, of its annotations, or of whoever reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from phaseguide.datasets.reading.options import NO_BACKGROUND, LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.phases import DEFAULT_COLOURS, EXCLUDED, NOT_CLASSIFIED, Phase, PhaseScheme, normalise_name

SPECIAL = {"excluded": EXCLUDED, "notclassified": NOT_CLASSIFIED}
"""Names, as `normalise_name` makes them, that mean no phase."""


def fixed_scheme(names: Sequence[str], options: LayoutOptions) -> PhaseScheme:
    """Return the phases of a published layout, by their own names or those that the user gives them."""
    if options.phases and len(options.phases) != len(names):
        raise DatasetError(
            f"--phases names {len(options.phases)} phases, but the layout has {len(names)}: {', '.join(names)}."
        )
    return PhaseScheme.from_names(options.phases or names)


def scheme_of(
    names: Iterable[str], options: LayoutOptions, colours: Mapping[str, str] | None = None
) -> PhaseScheme:
    """Return the phases of annotations: the background first, then their names in the order in which they come.

    What the user says of the phases goes before. ``colours`` are those that the annotations give to names.
    """
    if options.phases:
        return PhaseScheme.from_names(options.phases)
    first = [] if options.background == NO_BACKGROUND else [options.background]
    by_key: dict[str, str] = {}
    for name in (*first, *names):
        if (
            key := normalise_name(name)
        ) and key not in SPECIAL:  # an outline without a name is told when it is read
            by_key.setdefault(key, name)
    default = (DEFAULT_COLOURS[i % len(DEFAULT_COLOURS)] for i in range(len(by_key)))
    return PhaseScheme(
        tuple(
            Phase(i, name, (colours or {}).get(name, colour))
            for i, (name, colour) in enumerate(zip(by_key.values(), default, strict=True), start=1)
        )
    )


def label_of(name: str, scheme: PhaseScheme, where: str) -> int:
    """Return the label of a phase's name, 255 for *excluded* and 0 for *not classified*; else `DatasetError`."""
    key = normalise_name(name)
    if key in SPECIAL:
        return SPECIAL[key]
    for phase in scheme:
        if normalise_name(phase.name) == key:
            return phase.label
    raise DatasetError(
        f"{where}: {name!r} is none of the phases {scheme.describe()}. Correct it, or name all phases with --phases."
    )
