"""A table of colours and phases, and the labels of a mask by it; colours that it does not have are named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.schemes import SPECIAL
from phaseguide.errors import DatasetError
from phaseguide.files.text_files import parse_table, read_text
from phaseguide.phases import NOT_CLASSIFIED, Phase, PhaseScheme, normalise_name

SHOWN = 4
NEAR = 32
"""Levels of 255 that a colour may be off the line between two others and still look like a mix of them."""

_COLOUR = re.compile(r"#?([0-9a-f]{6})", re.IGNORECASE)
_TRIPLE = re.compile(r"\(?\s*(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})\s*\)?")


@dataclass(frozen=True)
class ColourTable:
    """Which colour means which label; ``rows`` are ((red, green, blue), label, name) in the order of the file."""

    file: Path
    scheme: PhaseScheme
    rows: tuple[tuple[tuple[int, int, int], int, str], ...]

    @property
    def made_of(self) -> str:
        """All that it says, as one text."""
        return repr(self.rows)

    def labels(
        self, pixels: NDArray[Any], where: str, unknown: str
    ) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Return the labels of a mask, (H, W) or (H, W, 3) of 8 or 16 bits; also what there is to tell.

        A colour that the table does not have is an error which says what it is near, unless ``unknown`` says that the
        nearest counts, or that such pixels stay unclassified.
        """
        codes = _codes(pixels, where)
        found, place, counts = np.unique(codes.ravel(), return_inverse=True, return_counts=True)
        known = {_code(colour): label for colour, label, _ in self.rows}
        values = np.array([known.get(int(code), NOT_CLASSIFIED) for code in found], dtype=np.uint8)
        foreign = np.flatnonzero([int(code) not in known for code in found])
        told: tuple[str, ...] = ()
        if foreign.size:
            foreign = foreign[np.argsort(-counts[foreign], kind="stable")]
            if unknown == "refuse":
                raise self._refusal(found[foreign], counts[foreign], where)
            told = (f"{Path(where).name}: {self._given(found[foreign], counts[foreign], unknown)}.",)
            if unknown == "nearest":
                values[foreign] = [self.rows[self._nearest(int(code))][1] for code in found[foreign]]
        labels: NDArray[np.uint8] = values[place].reshape(codes.shape)
        return labels, told

    def _refusal(self, codes: NDArray[np.uint32], counts: NDArray[np.int64], where: str) -> DatasetError:
        shown = "; ".join(
            self._described(int(code), int(count)) for code, count in zip(codes[:SHOWN], counts, strict=False)
        )
        more = f" and {len(codes) - SHOWN} more colours" if len(codes) > SHOWN else ""
        return DatasetError(
            f"{where}: {counts.sum()} pixels have a colour that {self.file} does not: {shown}{more}. Add the colour to "
            "the table, save the mask without smoothing, or say --unknown-colours nearest, or unclassified."
        )

    def _given(self, codes: NDArray[np.uint32], counts: NDArray[np.int64], unknown: str) -> str:
        """What became of unknown colours, in numbers."""
        what = f"{counts.sum()} pixels of {len(codes)} unknown colours"
        if unknown != "nearest":
            return f"{what} stay unclassified"
        gains: dict[str, int] = {}
        for code, count in zip(codes, counts, strict=True):
            name = self.rows[self._nearest(int(code))][2]
            gains[name] = gains.get(name, 0) + int(count)
        return f"{what} went to the nearest: {', '.join(f'{name} {count}' for name, count in gains.items())}"

    def _nearest(self, code: int) -> int:
        return int(np.argmin(self._distances(code)))

    def _distances(self, code: int) -> NDArray[np.float64]:
        colours = np.array([colour for colour, _, _ in self.rows], dtype=np.float64)
        distances: NDArray[np.float64] = np.sqrt(((colours - _rgb(code)) ** 2).sum(axis=1))
        return distances

    def _described(self, code: int, count: int) -> str:
        """A colour, its pixels, and what it is near: one colour of the table, or a mix of two as on smoothed edges."""
        distances = self._distances(code)
        row = int(np.argmin(distances))
        colour, text = _rgb(code), f"#{code:06x} ({count} px), "
        if distances[row] > NEAR:
            for i, (a, _, first) in enumerate(self.rows):
                for b, _, second in self.rows[i + 1 :]:
                    start, along = np.array(a, float), np.array(b, float) - np.array(a, float)
                    part = float(np.clip((colour - start) @ along / max(float(along @ along), 1.0), 0, 1))
                    if 0 < part < 1 and np.linalg.norm(start + part * along - colour) <= NEAR:
                        return f"{text}a mix of {first} and {second} as on smoothed edges"
            return f"{text}near none, {self.rows[row][2]} #{_code(self.rows[row][0]):06x} being the nearest"
        return f"{text}near {self.rows[row][2]} #{_code(self.rows[row][0]):06x}"


def read_table(file: Path, options: LayoutOptions) -> ColourTable:
    """Read a CSV with columns colour and phase, or a scheme.json; `DatasetError` names file and line."""
    if file.suffix.lower() == ".json":
        scheme = PhaseScheme.read(file)
        return _checked(file, [(_hex(p.colour), p.name, f"{file}, phase {p.label}") for p in scheme], options)
    try:
        rows = parse_table(_without_hash(file))
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise DatasetError(f"{file}: {error}. Write lines such as #ff0000,ferrite.") from error
    told = []
    for row in rows:
        where = f"{file}, line {row.line}"
        cells = [cell for cell in row.cells if cell]
        colour = _read_colour(cells[0]) if cells else None
        if colour is None and row is rows[0]:
            continue  # the heading
        if colour is None or len(cells) != 2:
            raise DatasetError(f"{where}: is not a colour and a phase. Write it such as #ff0000,ferrite.")
        told.append((colour, cells[1], where))
    return _checked(file, told, options)


def _checked(
    file: Path, told: list[tuple[tuple[int, int, int], str, str]], options: LayoutOptions
) -> ColourTable:
    names: dict[str, tuple[str, tuple[int, int, int]]] = {}
    seen: dict[tuple[int, int, int], str] = {}
    for colour, name, where in told:
        if colour in seen:
            raise DatasetError(
                f"{where}: the colour #{_code(colour):06x} stands for {seen[colour]} too. Keep one."
            )
        seen[colour] = name
        if normalise_name(name) not in SPECIAL:
            names.setdefault(normalise_name(name), (name, colour))
    if not names:
        raise DatasetError(f"{file}: names no phase. Write lines such as #ff0000,ferrite.")
    if options.phases:
        keys = [normalise_name(name) for name in options.phases]
        if lacking := [name for name, key in zip(options.phases, keys, strict=True) if key not in names]:
            raise DatasetError(f"{file}: has no colour for {lacking[0]!r} of --phases.")
        if left := [name for key, (name, _) in names.items() if key not in keys]:
            raise DatasetError(f"{file}: has {left[0]!r}, which --phases does not name.")
        names = {key: names[key] for key in keys}
    scheme = PhaseScheme(
        tuple(Phase(i, n, f"#{_code(c):06x}") for i, (n, c) in enumerate(names.values(), start=1))
    )
    labels = {key: i for i, key in enumerate(names, start=1)} | SPECIAL
    rows = tuple((colour, labels[normalise_name(name)], name) for colour, name, _ in told)
    return ColourTable(file, scheme, rows)


def _codes(pixels: NDArray[Any], where: str) -> NDArray[np.uint32]:
    """One number a pixel, 0xrrggbb; of 16 bits those that are a colour of 8 bits spread out, v * 257."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        raise DatasetError(
            f"{where}: is a stack, not a mask of one plane. Save each plane as a file of its own."
        )
    if pixels.dtype == np.uint16:
        if pixels.max() > 255 and (pixels % 257).any():
            raise DatasetError(
                f"{where}: has 16-bit values such as {int(pixels[pixels % 257 != 0][0])}, which are no 8-bit colour. "
                "Save the mask with 8 bits a colour."
            )
        pixels = (pixels // 257 if pixels.max() > 255 else pixels).astype(np.uint8)
    if pixels.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    if pixels.dtype.kind not in "u" or (pixels.size and pixels.max() > 255):
        raise DatasetError(
            f"{where}: holds values of type {pixels.dtype}, which are no colours. Save it with 8 bits."
        )
    rgb = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels
    wide = rgb.astype(np.uint32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2], dtype=np.uint32)


def _without_hash(file: Path) -> str:
    """The text of a table; a line that begins with a colour is no remark."""
    lines = (line.lstrip() for line in read_text(file).splitlines())
    return "\n".join(line[1:] if _COLOUR.match(line) and line.startswith("#") else line for line in lines)


def _read_colour(cell: str) -> tuple[int, int, int] | None:
    if found := _COLOUR.fullmatch(cell.strip()):
        return _hex(found[1])
    if found := _TRIPLE.fullmatch(cell.strip()):
        red, green, blue = (int(part) for part in found.groups())
        return (red, green, blue) if max(red, green, blue) < 256 else None
    return None


def _hex(text: str) -> tuple[int, int, int]:
    code = int(text.removeprefix("#"), 16)
    return code >> 16, code >> 8 & 255, code & 255


def _code(colour: tuple[int, int, int]) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _rgb(code: int) -> NDArray[np.float64]:
    return np.array([code >> 16, code >> 8 & 255, code & 255], dtype=np.float64)
