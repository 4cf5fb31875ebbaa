"""Writing a data-set folder image by image, so that it appears whole or not at all, and a stopped run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.base import Entry, Field, Listing
from phaseguide.datasets.reading.groups import FOLDS, ORIGIN, SPLITS
from phaseguide.datasets.survey import Facts, Report, look_at
from phaseguide.errors import DatasetError
from phaseguide.files.atomic import cannot_write, check_place, replacing, write_bytes
from phaseguide.files.foreign import resolved
from phaseguide.files.json_files import json_bytes, parse_json
from phaseguide.files.locks import exclusive
from phaseguide.micrographs.label_maps import write_label_map

FORMAT = 1
_STATE = "state.jsonl"


class Staging:
    """The folder beside the wanted one in which a data set grows; it gets the wanted name when it is complete.

    ``told`` is what was said that decides what becomes of an image. Its state is a line of JSON for each image that was
    written: what it was made of, and what it holds.
    """

    def __init__(self, out: Path, listing: Listing, told: Mapping[str, Any]) -> None:
        self.out, self.listing = out, listing
        self.folder = part_of(out)
        self._same = [FORMAT, listing.about.name, listing.scheme.to_dict(), dict(told)]
        self._done = self._read_state()

    def done(self, entry: Entry) -> Facts | None:
        """What is known of an entry that an earlier run wrote, of the same files with the same options; else None."""
        key, files, facts = self._done.get(entry.stem, ("", [], None))
        there = bool(files) and all((self.folder / name).is_file() for name in files)
        return facts if there and key == self._key(entry) else None

    def write(self, entry: Entry, field: Field) -> Facts:
        """Write image and labels of an entry, then that they are there."""
        image = self._write_image(entry, field)
        labels = f"labels/{entry.stem}.tif"
        write_label_map(self.folder / labels, field.labels, field.pixel_size_um)
        facts, key = look_at(entry.stem, field), self._key(entry)
        line = json.dumps({"key": key, "files": [image, labels], "facts": facts.to_dict()})
        try:
            with (self.folder / _STATE).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise cannot_write(self.folder / _STATE, error) from error
        self._done[entry.stem] = (key, [image, labels], facts)
        return facts

    def finish(self, report: Report, **more: Any) -> None:
        """Write what tells of the images, remove what belongs to none of them, and give the folder its name.

        ``more`` is what `ORIGIN` has besides.
        """
        listing = self.listing
        kept = {name for entry in listing.entries for name in self._done[entry.stem][1]}
        for part in ("images", "labels"):
            for path in (self.folder / part).iterdir():
                if f"{part}/{path.name}" not in kept:
                    path.unlink()
        write_bytes(self.folder / "scheme.json", json_bytes(listing.scheme.to_dict()))
        if listing.groups:
            name = FOLDS if listing.grouping == "folds" else SPLITS
            write_bytes(self.folder / name, json_bytes({k: list(v) for k, v in listing.groups.items()}))
        told = report.to_dict()
        del told["problems"], told["folder"], told[listing.grouping]
        write_bytes(self.folder / ORIGIN, json_bytes({**told, **more}))
        try:
            (self.folder / _STATE).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                self.out.rmdir()  # an empty folder of that name
            os.rename(self.folder, self.out)
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def _write_image(self, entry: Entry, field: Field) -> str:
        if field.copied and entry.image_path is not None:
            name = f"images/{entry.stem}{entry.image_path.suffix}"
            with replacing(self.folder / name) as temporary:
                shutil.copyfile(entry.image_path, temporary)
            return name
        name = f"images/{entry.stem}.tif"
        write_bytes(self.folder / name, image_bytes(field.image, field.pixel_size_um))
        return name

    def _key(self, entry: Entry) -> str:
        text = json.dumps([*self._same, entry.stem, list(entry.made_of)], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _read_state(self) -> dict[str, tuple[str, list[str], Facts]]:
        try:
            lines = (self.folder / _STATE).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        done = {}
        for line in lines:
            # What a killed run left of its last line, or somebody changed, is simply not done.
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                told = parse_json(line)
                facts = Facts.from_dict(told["facts"])
                done[facts.stem] = (str(told["key"]), [str(name) for name in told["files"]], facts)
        return done


def part_of(out: Path) -> Path:
    """Return the folder in which a data set grows."""
    return out.with_name(f".{out.name}.phaseguide-part")


def check_out(out: Path) -> None:
    """Make sure that a data set can be written to a folder: it is not there, or is empty."""
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise DatasetError(f"{out}: is there already, and stays. Choose a folder that is not there yet.")
    check_place(out)


def check_outside(folder: Path, out: Path) -> None:
    """Make sure that a data set is not written into the folder that is read."""
    if resolved(out).is_relative_to(resolved(folder)):
        raise DatasetError(f"{out}: lies in the folder that is read. Choose a folder outside of {folder}.")


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Keep other runs from writing the same data set."""
    lock = out.with_name(f".{out.name}.phaseguide-lock")
    busy = (
        f"{out}: another run of Phase Guide is writing this data set. Wait for it, or choose another folder."
    )
    with exclusive(lock, busy):
        yield
    with suppress(OSError):
        lock.unlink()


def image_bytes(image: NDArray[Any], pixel_size_um: float | None) -> bytes:
    """Return an image, (H, W) or (H, W, 3) of 8 or 16 bits or floats, as a compressed TIFF with its scale."""
    import tifffile

    buffer = io.BytesIO()
    colour = image.ndim == 3
    metadata: dict[str, object] = {"axes": "YXS" if colour else "YX"}
    told: dict[str, Any] = {"compression": "zlib", "photometric": "rgb" if colour else "minisblack"}
    if colour and image.dtype != np.uint8:  # which ImageJ's TIFF does not know
        if pixel_size_um is not None:
            metadata |= {"PhysicalSizeX": pixel_size_um, "PhysicalSizeY": pixel_size_um}
        tifffile.imwrite(buffer, image, ome=True, metadata=metadata, **told)
        return buffer.getvalue()
    if pixel_size_um is not None:
        metadata["unit"] = "um"
        told["resolution"] = (1 / pixel_size_um, 1 / pixel_size_um)
    tifffile.imwrite(buffer, image, imagej=True, metadata=metadata, **told)
    return buffer.getvalue()
