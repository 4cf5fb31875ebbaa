"""Phases and phase schemes: which label value means which constituent, its name and its colour."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from phaseguide.errors import SchemeError
from phaseguide.files.json_files import read_json

NOT_CLASSIFIED = 0
"""Label value of pixels that nobody has classified (yet); never a phase."""

EXCLUDED = 255
"""Label value of pixels that show no metal (hole, scratch, information bar)."""

MAX_PHASES = 254

LONGEST_NAME = 200
"""Characters of a phase's name."""

# Okabe-Ito, told apart by most colour-blind readers, then darker variants.
DEFAULT_COLOURS = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#999999",
    "#1b4f72", "#7e5109", "#145a32", "#6c3483",
)  # fmt: skip

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@lru_cache(maxsize=4096)
def normalise_name(name: str) -> str:
    """Reduce a phase name to what two spellings of it share.

    Case, accents, spaces, hyphens and underscores are dropped: ``"Widmanstätten cementite"``
    and ``"widmanstatten_cementite"`` are the same phase.
    """
    # Folded twice: decomposing can yield letters that still have another case.
    folded = unicodedata.normalize("NFKD", name.casefold()).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.sub(r"[\s_\-]+", "", bare)


@dataclass(frozen=True)
class Phase:
    """One constituent of an alloy.

    Attributes
    ----------
    label : int
        Value in a label map, 1..254.
    name : str
        What the user reads.
    colour : str
        ``#rrggbb``.
    """

    label: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        if not 1 <= self.label <= MAX_PHASES:
            raise SchemeError(
                f"Phase {self.name!r} has label {self.label}; labels of phases run from 1 to {MAX_PHASES} "
                f"(0 means not classified, {EXCLUDED} excluded)."
            )
        if not normalise_name(self.name):
            raise SchemeError(f"The phase with label {self.label} has no name. Give it one.")
        if len(self.name) > LONGEST_NAME or any(unicodedata.category(c) in ("Cc", "Cs") for c in self.name):
            raise SchemeError(
                f"The phase with label {self.label} has the name {self.name[:40]!r}; a name is one line of at most "
                f"{LONGEST_NAME} characters."
            )
        if not _COLOUR.fullmatch(self.colour):
            raise SchemeError(
                f"Phase {self.name!r} has colour {self.colour!r}; write colours as #rrggbb, for example #e69f00."
            )


@dataclass(frozen=True)
class PhaseScheme:
    """The ordered phases of a model or data set; labels are 1..K without a gap.

    Raises
    ------
    SchemeError
        No phase, labels with a gap, or two phases with the same name.
    """

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise SchemeError("A phase scheme needs at least one phase.")
        labels = [p.label for p in self.phases]
        if labels != list(range(1, len(labels) + 1)):
            raise SchemeError(f"Phase labels must be 1, 2, 3 ... in this order; these are {labels}.")
        seen: dict[str, str] = {}
        for phase in self.phases:
            key = normalise_name(phase.name)
            if key in seen:
                raise SchemeError(f"Two phases have the same name: {seen[key]!r} and {phase.name!r}.")
            seen[key] = phase.name

    @classmethod
    def from_names(cls, names: Iterable[str]) -> PhaseScheme:
        """Make a scheme with labels 1..K in the order of ``names`` and the default colours."""
        return cls(
            tuple(
                Phase(i, name, DEFAULT_COLOURS[(i - 1) % len(DEFAULT_COLOURS)])
                for i, name in enumerate(names, start=1)
            )
        )

    @classmethod
    def from_dict(cls, data: Any, *, source: str = "phase scheme") -> PhaseScheme:
        """Read ``{"phases": [{"label": 1, "name": ..., "color": "#..."}]}``.

        Parameters
        ----------
        data : dict
            Parsed JSON. ``color`` may be missing.
        source : str
            File or model the data came from; named in errors.
        """
        try:
            rows = list(data["phases"])
            phases = []
            for i, row in enumerate(rows):
                colour = row.get("color") or DEFAULT_COLOURS[i % len(DEFAULT_COLOURS)]
                phases.append(Phase(int(row["label"]), str(row["name"]), str(colour)))
            return cls(tuple(sorted(phases, key=lambda p: p.label)))
        except SchemeError as error:
            raise SchemeError(f"{source}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise SchemeError(
                f'{source}: not a phase scheme ({error!r}). Expected {{"phases": [{{"label": 1, "name": "ferrite", '
                '"color": "#56b4e9"}, ...]}.'
            ) from error

    @classmethod
    def read(cls, path: str | Path) -> PhaseScheme:
        """Read a ``scheme.json``."""
        path = Path(path)
        try:
            data = read_json(path)
        except OSError as error:
            raise SchemeError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except ValueError as error:
            raise SchemeError(f"{path}: not valid JSON ({error}).") from error
        return cls.from_dict(data, source=str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return {"phases": [{"label": p.label, "name": p.name, "color": p.colour} for p in self.phases]}

    def __len__(self) -> int:
        return len(self.phases)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(p.name for p in self.phases)

    def find(self, text: str) -> Phase:
        """Return the phase of a name (case, accents and spaces ignored) or label number.

        Raises
        ------
        SchemeError
            No such phase; the message lists the phases there are.
        """
        key = normalise_name(text)
        for phase in self.phases:
            if normalise_name(phase.name) == key:
                return phase
        for phase in self.phases:
            if str(phase.label) == text.strip():
                return phase
        raise SchemeError(f"Unknown phase {text.strip()!r}. The phases are {self.describe()}.")

    def describe(self) -> str:
        """Return ``1 ferrite, 2 pearlite`` for messages."""
        return ", ".join(f"{p.label} {p.name}" for p in self.phases)

    def check_labels(self, values: Iterable[int], *, source: str) -> None:
        """Raise `SchemeError` if a label value is neither a phase, nor 0, nor 255.

        Parameters
        ----------
        values : iterable of int
            Distinct values of a label map.
        source : str
            The file or layer; named in the error.
        """
        known = {NOT_CLASSIFIED, EXCLUDED, *(p.label for p in self.phases)}
        foreign = sorted({int(v) for v in values} - known)
        if foreign:
            shown = ", ".join(map(str, foreign[:8])) + (" ..." if len(foreign) > 8 else "")
            raise SchemeError(
                f"{source}: label value {shown} is not in the phase scheme. The phases are {self.describe()}; "
                f"0 means not classified and {EXCLUDED} excluded. Relabel it, or choose the model made for "
                "these phases."
            )
