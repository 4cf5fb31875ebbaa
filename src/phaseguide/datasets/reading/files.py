"""Image files of a folder and its sub-folders, found by what an annotation calls them; and pairs of two folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.files.foreign import open_plain
from phaseguide.micrographs.reading import IMAGE_SUFFIXES

MASK_ENDINGS = ("", "_mask", "_labels", "_label", "_gt")


class ImageIndex:
    """The images of a folder and its sub-folders; ``besides`` are sub-folders that hold something else."""

    def __init__(self, folder: Path, besides: Iterable[str] = ()) -> None:
        self.folder = folder
        skipped = {name.casefold() for name in besides}
        self.paths = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in IMAGE_SUFFIXES
            and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and not skipped & {part.casefold() for part in path.relative_to(folder).parts[:-1]}
        ]
        self._by_name: dict[str, list[Path]] = {}
        for path in self.paths:
            self._by_name.setdefault(path.name, []).append(path)
            if path.stem != path.name:
                self._by_name.setdefault(path.stem, []).append(path)

    def find(self, told: str, where: str) -> Path:
        """Return the image of a name or relative path; `DatasetError` with ``where`` for none, or for several."""
        relative = PurePosixPath(told.replace("\\", "/"))
        candidates = self._by_name.get(relative.name, [])
        if len(candidates) > 1:
            ending = relative.parts
            candidates = [path for path in candidates if path.parts[-len(ending) :] == ending] or candidates
        if len(candidates) > 1:
            raise DatasetError(
                f"{where}: the image {told!r} could be {candidates[0].relative_to(self.folder)} or "
                f"{candidates[1].relative_to(self.folder)}. Give images of one folder names of their own."
            )
        if not candidates:
            raise DatasetError(
                f"{where}: the image {told!r} is not in {self.folder}. Put it there, or take it out of the annotations."
            )
        return candidates[0]


def check_stems(folder: Path, stems: Sequence[tuple[str, str]]) -> None:
    """Make sure that no two images would be written under one name; pairs are (stem, where it comes from)."""
    seen: dict[str, str] = {}
    for stem, where in stems:
        other = seen.setdefault(unicodedata.normalize("NFC", stem).casefold(), where)
        if other != where:
            raise DatasetError(
                f"{folder}: {other} and {where} have the same name, {stem}. Rename one, or convert a split at a time."
            )


def plain_files(folder: Path, *endings: str, deep: bool = False) -> list[Path]:
    """List the plain files of a folder, and with ``deep`` of its sub-folders, whose names end so, by name."""
    found = [path for ending in endings for path in (folder.rglob if deep else folder.glob)(f"*{ending}")]
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def the_one(files: Sequence[Path], folder: Path, what: str, expects: str) -> Path:
    """Return the only file of a kind that a folder has; `DatasetError` where there is none, or there are several."""
    if len(files) != 1:
        raise DatasetError(f"{folder}: needs one {what}, and has {len(files)}. Expected: {expects}.")
    return files[0]


def begins(path: Path, most_bytes: int = 4096) -> bytes:
    """Return how a plain file begins; nothing for one that cannot be read."""
    try:
        with open_plain(path) as file:
            return file.read(most_bytes)
    except OSError:
        return b""


def images_in(folder: Path) -> list[Path]:
    """List the images that lie in a folder itself, by name."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]


def pair_up(
    images: Path, labels: Path, options: LayoutOptions, endings: Sequence[str] = MASK_ENDINGS
) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """Match the images of one folder and the label files of another; also return what there is to tell.

    A label file has the stem of its image, or that with one of the endings. `DatasetError` names a label file without
    an image and, unless they are to be dropped, an image without one.
    """
    for folder in (images, labels):
        check_stems(folder, [(path.stem, path.name) for path in images_in(folder)])
    of_label = {path.stem: path for path in images_in(labels)}
    pairs, alone = [], []
    for image in images_in(images):
        name = next((image.stem + ending for ending in endings if image.stem + ending in of_label), None)
        if name is None:
            alone.append(image)
        else:
            pairs.append((image, of_label.pop(name)))
    if of_label:
        first = next(iter(of_label.values()))
        raise DatasetError(
            f"{first}: is a label file without an image ({len(of_label)} in all); {images} has none of that name. "
            "Add the image, or take the file away."
        )
    if alone and options.unlabelled != "drop":
        raise unlabelled(alone[0], f"{labels} has no label file of its name", len(alone))
    return pairs, dropped([path.name for path in alone])


def unlabelled(image: Path, why: str, count: int, *, negatives: bool = False) -> DatasetError:
    """Return the error for an image without labels; ``negatives`` says whether it could mean an empty one."""
    what = (
        "Say --unlabelled negative if everything in such images is background, or --unlabelled drop to leave them out."
        if negatives
        else "Add its labels, or say --unlabelled drop to leave such images out."
    )
    return DatasetError(f"{image}: is without any label ({count} such images in all); {why}. {what}")


def dropped(names: Sequence[str]) -> tuple[str, ...]:
    """Tell which images are left out since nothing labels them."""
    if not names:
        return ()
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return (f"{len(names)} image{'s' * (len(names) > 1)} without any label left out: {shown}.",)


def facts(*paths: Path) -> tuple[str, ...]:
    """Tell the state of files: name, size and time of the last change."""
    told = []
    for path in paths:
        state = path.stat()
        told.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return tuple(told)
