"""Where the official weights of Segment Anything are downloaded from and to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.download import Wanted, mirrored, part_path
from phaseguide.files.download import downloading as downloading_file
from phaseguide.models.sam.checksums import bases_folder, remember_checksum
from phaseguide.models.sam.shapes import OFFICIAL, OfficialFile

WEIGHTS_VARIABLE = "PHASEGUIDE_SAM_WEIGHTS"
MIRROR_VARIABLE = "PHASEGUIDE_SAM_MIRROR"


def check_address(official: OfficialFile, mirror: str | None) -> str:
    """Return the address to download a file from; `ModelError` if the mirror is no http or https address."""
    base, source = mirror, "--mirror"
    if base is None:
        base, source = os.environ.get(MIRROR_VARIABLE) or None, MIRROR_VARIABLE
    if base is None:
        return official.url
    address = mirrored(official.url, base)
    if address is None:
        raise ModelError(
            f"{source} {base!r}: give the address of a folder, such as https://example.org/sam/, that offers "
            f"{official.name}. A file on a disk is taken with: phaseguide models base add FILE."
        )
    return address


def by_hand(official: OfficialFile) -> str:
    """Say how to bring a file without a network."""
    return (
        f"Offline: get {official.url} on another computer, put it into {bases_folder()} under the name "
        f"{official.name}, or set {WEIGHTS_VARIABLE} to the file or its folder."
    )


def stopped_downloads() -> dict[str, Path]:
    """Sizes of which a part was downloaded, and the file of that part."""
    parts = {size: part_path(bases_folder() / official.name) for size, official in OFFICIAL.items()}
    return {size: part for size, part in parts.items() if os.path.isfile(part)}


def downloading(
    official: OfficialFile, size: str, address: str, target: Path
) -> Iterator[Progress | Notice | Finished[Path]]:
    """Download an official file and remember its checksum; see `phaseguide.files.download.downloading`."""
    again = f"phaseguide models base get {size}"
    wanted = Wanted(
        address,
        target,
        official.sha256,
        official.megabytes,
        again=again,
        elsewhere=f"{again} --mirror URL",
        by_hand=by_hand(official),
    )
    remember_checksum(target, (yield from downloading_file(wanted)))
    yield Finished(target)
