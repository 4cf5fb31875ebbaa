"""Which image files a command is about: what was named, without the results of earlier runs."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from phaseguide.errors import MicrographError
from phaseguide.micrographs.reading import IMAGE_SUFFIXES
from phaseguide.micrographs.records import files_of_results, parts_of
from phaseguide.plain_text import readable


def find_images(paths: Sequence[str | Path], left_out: Callable[[str], None] = lambda _: None) -> list[Path]:
    """List the image files of paths; of a folder, its images (or those of its ``images/``).

    Results of an earlier run are left out: what a record beside it names, and label maps and overlays that
    are named after another of the images (``x_labels.tif`` and ``x.png``).

    Parameters
    ----------
    paths : sequence of path
    left_out : callable
        Told in a sentence which folders hold nothing, and which of the files that were named are results.

    Raises
    ------
    MicrographError
        A path that is not there, no images at all, nothing but results, or two images that would give
        results of the same name, also on a disk that takes ``A`` for ``a`` or accents in another form.
    """
    found: list[Path] = []
    named: list[Path] = []
    empty: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = images_of(path / "images" if (path / "images").is_dir() else path)
            found.extend(inside)
            if not inside:
                empty.append(f"{path}: holds no images (TIFF, PNG, JPEG or BMP)")
        elif os.path.lexists(path):  # what is wrong with one that leads nowhere is told when its turn comes
            named.append(path)
            found.append(path)
        else:
            raise MicrographError(f"{path}: there is no such file or folder. Check the path.")
    if empty and not found:
        raise MicrographError(f"{empty[0]}. Choose another folder.")
    for told in empty:
        left_out(f"{told}; left out.")
    results = results_among(list(dict.fromkeys(named)))
    found = [path for path in dict.fromkeys(found) if path not in results]
    if results:
        names = ", ".join(path.name for path in results)
        told = f"{names}: label maps or pictures of an earlier result, not micrographs"
        if not found:
            raise MicrographError(f"{told}. Name the images that they were made of.")
        left_out(f"{told}; left out.")
    by_name: dict[str, Path] = {}
    for path in found:
        other = by_name.setdefault(unicodedata.normalize("NFC", path.stem.casefold()), path)
        if other != path:
            raise MicrographError(
                f"{other} and {path}: their results would have the same name, {path.stem}_labels.tif"
                f"{'' if other.stem == path.stem else ', on a disk that does not tell such letters apart'}. "
                "Rename one, or segment them into different folders."
            )
    return found


def images_of(folder: Path) -> list[Path]:
    """Image files of a folder, by name, without results of earlier runs and hidden files."""
    files = [
        p for p in sorted(folder.iterdir())
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    ]  # fmt: skip
    results = results_among(files)
    return [path for path in files if path not in results]


def results_among(files: Sequence[Path]) -> dict[Path, None]:
    """Those of some files that an earlier run of the program wrote."""
    made = {folder: files_of_results(folder) for folder in {path.parent for path in files}}
    named = {(path.parent, path.stem) for path in files}
    return {
        path: None
        for path in files
        if readable(path.name) in made[path.parent]
        or (path.suffix.lower() == ".json" and parts_of(path) is not None)
        or any(
            path.stem.endswith(end) and (path.parent, path.stem.removesuffix(end)) in named
            for end in ("_labels", "_overlay")
        )
    }
