"""What can be known of results before any image is segmented: names, what lies there, room on the disk."""

from __future__ import annotations

import math
import os
import shutil
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path

from phaseguide.errors import ModelError, OutputError, PhaseguideError
from phaseguide.files.atomic import check_name, check_place, existing_parent, sweep
from phaseguide.files.foreign import open_plain
from phaseguide.micrographs.records import why_kept
from phaseguide.models.card import Card
from phaseguide.segmentation.saving import result_files
from phaseguide.segmentation.stacks import stack_files

RECORD_BYTES = 4_000
LABELS_BYTES_A_PIXEL = 0.02
OVERLAY_BYTES_A_PIXEL = 1.0
"""What the files take at least. On micrographs of steel, labels took 0.03 bytes a pixel and overlays 2.1."""


def check_results(
    images: Sequence[Path],
    out_dir: str | Path,
    *,
    overlay: bool,
    replace: bool,
    others: Sequence[str | Path] = (),
) -> None:
    """Make sure that the results of images can be written, without writing or making anything.

    Parameters
    ----------
    images : sequence of Path
    out_dir : path
    overlay : bool
    replace : bool
        Whether results of an earlier run may be replaced.
    others : sequence of path
        Further files that the same run will write.

    Raises
    ------
    OutputError
        A name that is taken by what must stay, or by two files of this run.
    PhaseguideError
        A folder that cannot be written, a name that is too long, a disk that is too full.
    """
    out = Path(out_dir)
    planned = {path: _targets(out, path.stem, overlay=overlay) for path in images}
    for path, targets in planned.items():
        _check_kept(targets, result_files(out, path.stem).record)
    taken = [target for targets in planned.values() for target in targets if os.path.lexists(target)]
    if taken and not replace:
        raise _exists(taken)
    for path, targets in planned.items():
        check_parts(targets, result_files(out, path.stem).record, replace=replace)
    mine = {_spelling(target) for targets in planned.values() for target in targets}
    for other in others:
        if _spelling(Path(other)) in mine:
            raise OutputError(f"{other}: is the name of a result of this run too. Choose another name.")
    check_place(next(target for targets in planned.values() for target in targets))
    _check_room(images, out, overlay=overlay)
    sweep(out)


def check_parts(targets: Sequence[Path], record: Path, *, replace: bool) -> None:
    """Make sure that the files of one result have names that the disk takes, and replace no file that must stay.

    Raises
    ------
    OutputError
        A name that is taken.
    PhaseguideError
        A name that is too long.
    """
    for target in targets:
        check_name(target)
    _check_kept(targets, record)
    taken = [target for target in targets if os.path.lexists(target)]
    if taken and not replace:
        raise _exists(taken)


def _check_kept(targets: Sequence[Path], record: Path) -> None:
    """Raise `OutputError` where a file is no earlier result, so that no option replaces it."""
    for target in targets:
        if os.path.lexists(target) and (reason := why_kept(target, record)):
            raise OutputError(reason)


def _exists(taken: Sequence[Path]) -> OutputError:
    more = f", with {len(taken) - 1} more" if len(taken) > 1 else ""
    return OutputError(f"{taken[0]} exists already{more}. Choose another --out, or add --overwrite.")


def check_channels(card: Card) -> None:
    """Make sure that a model can be given micrographs, which are grey or red, green and blue.

    Raises
    ------
    ModelError
        It was made for other channels.
    """
    channels = card.backbone.in_channels
    if channels not in (1, 3):
        raise ModelError(
            f"The model {card.name!r} was made for {channels} channels, but micrographs have 1 or 3. Choose another."
        )


def _targets(out: Path, stem: str, *, overlay: bool) -> list[Path]:
    """Every name that the result of an image may have, whether it is a stack or not."""
    found = (names(out, stem, overlay=overlay) for names in (result_files, stack_files))
    files = (path for one in found for path in (one.labels, one.record, one.overlay) if path is not None)
    return list(dict.fromkeys(files))


def _spelling(path: Path) -> str:
    """What all spellings of a path share on a disk that ignores case and the form of accents."""
    return unicodedata.normalize("NFC", os.path.realpath(path).casefold())


def _check_room(images: Sequence[Path], out: Path, *, overlay: bool) -> None:
    a_pixel = LABELS_BYTES_A_PIXEL + (OVERLAY_BYTES_A_PIXEL if overlay else 0)
    needed = sum(RECORD_BYTES + a_pixel * _pixels_of(path) for path in images)
    free = shutil.disk_usage(existing_parent(out / "x")).free
    if needed > free:
        raise PhaseguideError(
            f"{out}: the results of {len(images)} images take at least {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB "
            "are free on that disk. Free some space there, or choose another --out."
        )


def _pixels_of(path: Path) -> int:
    """Pixels of an image by its header; 0 where that cannot be read, which is told when its turn comes."""
    import tifffile
    from PIL import Image

    try:
        with open_plain(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pictures that Pillow finds large
            if file.read(4)[:2] not in (b"II", b"MM"):
                file.seek(0)
                with Image.open(file) as picture:
                    return picture.width * picture.height
            file.seek(0)
            with tifffile.TiffFile(file) as tiff:
                shape = tiff.series[0].shape
                return math.prod(shape[:-1] if shape[-1] in (3, 4) else shape)
    except Exception:
        return 0
