"""The project's own data-set folder: images/, labels/ and scheme.json, whole or in the sub-folders of splits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from phaseguide.datasets.folder import Item, open_dataset
from phaseguide.datasets.reading.base import About, Entry, Field, Groups, Layout, Listing
from phaseguide.datasets.reading.fields import as_field, read_plane
from phaseguide.datasets.reading.files import check_stems, dropped, facts, unlabelled
from phaseguide.datasets.reading.groups import FOLDS, ORIGIN, SPLITS, present, read_groups
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.schemes import fixed_scheme
from phaseguide.errors import DatasetError
from phaseguide.files.json_files import read_json
from phaseguide.phases import PhaseScheme

ABOUT = About(
    name="folder",
    title="Data-set folder of Phase Guide",
    expects="images/ and labels/ of the same names, 8-bit label maps with 0 not classified, 1 to K, 255 excluded, and "
    "scheme.json; or sub-folders such as train and test that have these; folds.json and splits.json if there are some",
    holds="what train and evaluate read",
)


def matches(folder: Path) -> bool:
    """Whether there are images and labels, or sub-folders that have them."""
    return bool(_parts(folder))


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the labelled images of a folder or of its splits."""
    parts = _parts(folder)
    if not parts:
        raise DatasetError(f"{folder}: has no images/ and labels/. Expected: {ABOUT.expects}.")
    if parts != [folder]:
        # Here already, since images of two splits may have one name.
        known = [part.name for part in parts]
        if unknown := [name for name in options.splits if name not in known]:
            raise DatasetError(f"{folder}: has no split {unknown[0]!r}. Splits of it: {', '.join(known)}.")
        parts = [part for part in parts if not options.splits or part.name in options.splits]
    scheme = _scheme(folder, parts, options)
    entries: list[Entry] = []
    names: list[tuple[str, str]] = []
    alone: list[Path] = []
    groups: Groups = {}
    for part in parts:
        items = open_dataset(part).items
        alone += [item.image_path for item in items if item.label_path is None]
        labelled = [(item, item.label_path) for item in items if item.label_path is not None]
        groups[part.name] = tuple(item.stem for item, _ in labelled)
        names += [(item.stem, str(item.image_path.relative_to(folder))) for item, _ in labelled]
        entries += [
            Entry(
                item.stem,
                partial(_read, item, scheme, options),
                facts(item.image_path, label),
                item.image_path,
            )
            for item, label in labelled
        ]
    if alone and options.unlabelled != "drop":
        raise unlabelled(alone[0], "labels/ has no file of its name", len(alone))
    about, told = _about(folder), dropped([path.name for path in alone])
    if parts != [folder]:
        check_stems(folder, names)
        return Listing(about, folder, scheme, tuple(entries), groups, notices=told)
    stems = [entry.stem for entry in entries]
    for name in (FOLDS, SPLITS):
        if (folder / name).is_file():
            groups, _ = present(read_groups(folder / name), stems, folder / name)
            kind = "folds" if name == FOLDS else "splits"
            return Listing(about, folder, scheme, tuple(entries), groups, kind, told)  # type: ignore[arg-type]
    return Listing(about, folder, scheme, tuple(entries), notices=told)


def _about(folder: Path) -> About:
    """What is known of the data, where a conversion wrote it down: their licence goes with them."""
    try:
        told = read_json(folder / ORIGIN)["layout"]
        return replace(ABOUT, **{key: str(told[key]) for key in ("licence", "source", "citation")})
    except (OSError, ValueError, KeyError, TypeError):
        return ABOUT


def _scheme(folder: Path, parts: list[Path], options: LayoutOptions) -> PhaseScheme:
    files = [path for path in (folder / "scheme.json", *(p / "scheme.json" for p in parts)) if path.is_file()]
    if files:
        return (
            fixed_scheme(PhaseScheme.read(files[0]).names, options)
            if options.phases
            else PhaseScheme.read(files[0])
        )
    if options.phases:
        return PhaseScheme.from_names(options.phases)
    raise DatasetError(
        f"{folder}: has no scheme.json that names the phases. Name those of the labels 1, 2, ... with --phases."
    )


def _read(item: Item, scheme: PhaseScheme, options: LayoutOptions) -> Field:
    micrograph = read_plane(item.image_path)
    return as_field(micrograph, item.read_labels(scheme, micrograph.plane_shape), options)


def _parts(folder: Path) -> list[Path]:
    """The folder itself, or its sub-folders, that have images and labels."""
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return [folder]
    usual = ("train", "val", "validation", "test")
    parts = [path for path in folder.iterdir() if (path / "images").is_dir() and (path / "labels").is_dir()]
    return sorted(parts, key=lambda p: (usual.index(p.name) if p.name in usual else len(usual), p.name))


LAYOUT = Layout(ABOUT, matches, open_folder)
