"""Presets: expected values that a user keeps for a model and a material, with all that belongs to them."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, ValidationError

from phaseguide.atomic import write_text
from phaseguide.errors import PhaseguideError, RatioError, SchemeError
from phaseguide.files import free_path, read_plain
from phaseguide.json_files import parse_json
from phaseguide.phases import PhaseScheme
from phaseguide.ratios.basis import Basis, area_from_weight
from phaseguide.ratios.sources import DEFAULT_SOURCE, Scope, find_source
from phaseguide.ratios.vector import Ratio, validate_ratio

FOLDER = "presets"


class Preset(BaseModel):
    """What a user expects of a material, as it was entered: shares in [0, 1] by phase name, in the basis, None for an
    open one.

    Name, model and material (perhaps empty) together tell presets apart; case and extra spaces do not matter.
    Densities are in g/cm3; ``source`` is the key of a `Source`; ``uncertainty`` has log-ratio standard deviations by
    phase name where they are not the source's.
    """

    # Strict: a share must be a number, and a key that this version does not know is no preset of it.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    model: str
    shares: dict[str, float | None]
    material: str = ""
    basis: Basis = "area"
    densities: dict[str, float] = {}
    source: str = DEFAULT_SOURCE
    uncertainty: dict[str, float] | None = None
    scope: Scope = "field"

    @property
    def key(self) -> tuple[str, str, str]:
        """What two presets must not share."""
        return _folded(self.model), _folded(self.material), _folded(self.name)

    @property
    def title(self) -> str:
        """Name and material as the user reads them."""
        return f"{self.name} ({self.material})" if self.material else self.name

    def values(self, scheme: PhaseScheme) -> Ratio:
        """Return the shares as entered, in the preset's basis, NaN where open; shape (K,).

        `RatioError` for a phase that the scheme does not have, or shares that cannot be meant.
        """
        return validate_ratio(self._by_phase(self.shares, scheme), scheme)

    def density_values(self, scheme: PhaseScheme) -> Ratio:
        """Return the densities in g/cm3, NaN where not given; shape (K,)."""
        return self._by_phase(self.densities, scheme)

    def uncertainties(self, scheme: PhaseScheme) -> float | tuple[float, ...]:
        """Return the uncertainty as a `Request` takes it; phases without their own have the source's."""
        usual = find_source(self.source).uncertainty
        if self.uncertainty is None:
            return usual
        each = tuple(np.nan_to_num(self._by_phase(self.uncertainty, scheme), nan=usual).tolist())
        return each if len(set(each)) > 1 else float(each[0])

    def asked(self, scheme: PhaseScheme, own: ArrayLike | None = None) -> Ratio:
        """Return the expected area shares, shape (K,), NaN where open; for ``own`` see `area_from_weight`.

        `RatioError` as `values`, and for a missing density.
        """
        values = self.values(scheme)
        if self.basis == "area":
            return values
        return area_from_weight(values, self.density_values(scheme), scheme, own)

    def _by_phase(self, numbers: dict[str, Any], scheme: PhaseScheme) -> Ratio:
        found = np.full(len(scheme), np.nan)
        for name, number in numbers.items():
            try:
                label = scheme.find(name).label
            except SchemeError as error:
                raise RatioError(f"Preset {self.title!r}: {error} Choose a preset of this model.") from error
            found[label - 1] = np.nan if number is None else number
        return found


@dataclass(frozen=True)
class PresetList:
    """The presets of a model, and a sentence for each file that is none."""

    presets: tuple[Preset, ...]
    problems: tuple[str, ...]


class PresetStore:
    """The presets of a user, one JSON file each, in the sub-folder ``presets`` of the user's data folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder) / FOLDER

    def list(self, model: str) -> PresetList:
        """Return the presets of a model, by material and name; damaged files are told, not raised."""
        found, problems = self._read()
        mine = [p for p in found.values() if p.key[0] == _folded(model)]
        return PresetList(tuple(sorted(mine, key=lambda p: p.key)), problems)

    def load(self, model: str, name: str, material: str | None = None) -> Preset:
        """Return one preset; `RatioError` if there is none, or several where no material tells them apart."""
        there = self.list(model)
        named = [p for p in there.presets if p.key[2] == _folded(name)]
        fitting = [p for p in named if material is None or p.key[1] == _folded(material)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            materials = ", ".join(repr(p.material) for p in fitting)
            raise RatioError(f"Preset {name!r} is there for the materials {materials}. Say which material.")
        titles = ", ".join(p.title for p in there.presets) or "none yet"
        broken = "".join(f" {problem}" for problem in there.problems)
        raise RatioError(f"Model {model!r} has no preset {name!r}. Its presets: {titles}.{broken}")

    def save(self, preset: Preset, *, overwrite: bool = False) -> Path:
        """Write a preset and return its file; `RatioError` without a name, or if there is one and not ``overwrite``."""
        if not preset.name.strip():
            raise RatioError("The preset has no name. Give it one.")
        path = self._path_of(preset)
        if path is not None and not overwrite:
            raise RatioError(
                f"There is a preset {preset.title!r} already. Replace it, or choose another name."
            )
        path = path or self._free_path(preset)
        write_text(
            path, json.dumps(preset.model_dump(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )
        return path

    def delete(self, preset: Preset) -> None:
        """Delete a preset; `RatioError` if it is not there."""
        path = self._path_of(preset)
        if path is None:
            raise RatioError(f"There is no preset {preset.title!r} of model {preset.model!r}.")
        try:
            path.unlink()
        except OSError as error:
            raise PhaseguideError(
                f"{path}: cannot be deleted ({error.strerror or error}). Check that you may write to its folder."
            ) from error

    def _read(self) -> tuple[dict[Path, Preset], tuple[str, ...]]:
        found, problems = {}, []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found[path] = _read_preset(path)
            except RatioError as error:
                problems.append(str(error))
        return found, tuple(problems)

    def _path_of(self, preset: Preset) -> Path | None:
        return next((path for path, one in self._read()[0].items() if one.key == preset.key), None)

    def _free_path(self, preset: Preset) -> Path:
        """A file name that tells what is in it and is not taken."""
        parts = [preset.model, preset.material, preset.name]
        stem = (
            "-".join(filter(None, (re.sub(r"\W+", "_", part).strip("_")[:40] for part in parts))) or "preset"
        )
        return free_path(self.folder / f"{stem}.json")


_MOST_BYTES = 1024 * 1024


def _read_preset(path: Path) -> Preset:
    """Read one file; anything that is not a preset is a `RatioError` that names it."""
    try:
        text = read_plain(path, _MOST_BYTES)
        parse_json(text)
        preset = Preset.model_validate_json(text)
        find_source(preset.source)
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, RatioError) as error:
        reason = str(error)
    else:
        return preset
    raise RatioError(f"{path}: is not a preset ({reason}). Delete the file, or save the preset again.")


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()
