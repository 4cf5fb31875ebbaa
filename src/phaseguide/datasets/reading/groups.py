"""Splits and folds: which images belong together, as a file of JSON, and how far they fit a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from phaseguide.datasets.reading.base import Groups, Listing
from phaseguide.errors import DatasetError
from phaseguide.files.json_files import read_json

FOLDS, SPLITS = "folds.json", "splits.json"
ORIGIN = "origin.json"
"""Where a data set comes from, beside its images."""


def read_groups(path: Path) -> Groups:
    """Read ``{"train": ["stem", ...], ...}``; `DatasetError` names the file."""
    try:
        data = read_json(path)
        return {str(name): tuple(str(stem) for stem in stems) for name, stems in data.items()}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f'{path}: is not a file of folds ({error}). Expected {{"A": ["image", ...], "B": [...]}}.'
        ) from error


def present(groups: Groups, stems: Sequence[str], file: Path | None) -> tuple[Groups, tuple[str, ...]]:
    """Return groups as far as their images are there, and what there is to tell.

    Those of a file of the folder must be there whole, each image in one of them: `DatasetError` names fold and image.
    """
    have, missing = set(stems), []
    seen: dict[str, str] = {}
    for name, group in groups.items():
        for stem in group:
            if file is not None and stem in seen:
                raise DatasetError(
                    f"{file}: the image {stem} is in fold {seen[stem]} and in fold {name}. Leave it in one place."
                )
            seen[stem] = name
            if stem not in have:
                if file is not None:
                    raise DatasetError(
                        f"{file}: fold {name} names the image {stem}, which the folder lacks. Add the image, or "
                        "take it out of the file."
                    )
                missing.append(stem)
    kept = {name: tuple(stem for stem in group if stem in have) for name, group in groups.items()}
    told: tuple[str, ...] = ()
    if missing:
        shown = ", ".join(missing[:4]) + (" ..." if len(missing) > 4 else "")
        told = (
            f"{len(missing)} images of the published folds are not here: {shown}. Their folds are the smaller.",
        )
    return {name: group for name, group in kept.items() if group}, told


def chosen(listing: Listing, names: Iterable[str]) -> Listing:
    """Return a listing with the images of some splits or folds only; `DatasetError` for one that is not there."""
    wanted = tuple(names)
    if not wanted:
        return listing
    unknown = [name for name in wanted if name not in listing.groups]
    if unknown:
        there = ", ".join(listing.groups) or "none"
        raise DatasetError(f"{listing.folder}: has no split {unknown[0]!r}. Splits and folds of it: {there}.")
    groups = {name: listing.groups[name] for name in listing.groups if name in wanted}
    stems = {stem for group in groups.values() for stem in group}
    return replace(
        listing, entries=tuple(entry for entry in listing.entries if entry.stem in stems), groups=groups
    )
