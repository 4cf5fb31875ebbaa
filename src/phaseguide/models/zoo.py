"""The zoo: models that ship with the package, models the user added, and models by path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs

from phaseguide.atomic import write_bytes
from phaseguide.errors import ModelError
from phaseguide.models.card import Card
from phaseguide.models.model_file import read_card

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ZooEntry:
    """A model that can be chosen by name.

    Attributes
    ----------
    name : str
    path : Path
    origin : {"built-in", "user"}
    problem : str
        Why it cannot be used; empty when its card reads well.
    card : Card or None
    """

    name: str
    path: Path
    origin: Literal["built-in", "user"]
    problem: str
    card: Card | None


def user_model_folder() -> Path:
    """Folder of the models that the user added; the variable PHASEGUIDE_DATA_DIR moves it."""
    base = os.environ.get("PHASEGUIDE_DATA_DIR") or platformdirs.user_data_dir("phaseguide", appauthor=False)
    return Path(base) / "models"


def built_in_folder() -> Path:
    """Folder of the models inside the package."""
    return Path(str(files("phaseguide"))) / "weights"


def list_models() -> list[ZooEntry]:
    """Every model that can be chosen by name: built-in ones first, then the user's."""
    entries: list[ZooEntry] = []
    origins: tuple[tuple[Path, Literal["built-in", "user"]], ...] = (
        (built_in_folder(), "built-in"),
        (user_model_folder(), "user"),
    )
    for folder, origin in origins:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                card, problem = read_card(path), ""
            except ModelError as error:
                card, problem = None, str(error)
            entries.append(ZooEntry(path.stem, path, origin, problem, card))
    return entries


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a model: a path that exists, or a name of the zoo (the user's first).

    Raises
    ------
    ModelError
        Neither; the message lists the names there are.
    """
    path = Path(name_or_path)
    if path.suffix == SUFFIX or path.is_file():
        if not path.is_file():
            raise ModelError(f"{path}: there is no such model file.")
        return path
    for folder in (user_model_folder(), built_in_folder()):
        candidate = folder / f"{name_or_path}{SUFFIX}"
        if candidate.is_file():
            return candidate
    names = ", ".join(sorted({entry.name for entry in list_models()})) or "none yet"
    raise ModelError(
        f"There is no model {str(name_or_path)!r}. Models: {names}. Or give the path of a {SUFFIX} file."
    )


def open_model(name_or_path: str | Path) -> LoadedModel:
    """Find and load a model; see `find_model` and `phaseguide.models.model_file.load_model`."""
    from phaseguide.models.model_file import load_model

    return load_model(find_model(name_or_path))


def add_model(path: str | Path, name: str | None = None) -> ZooEntry:
    """Copy a model file into the user's folder, after checking it completely.

    Raises
    ------
    ModelError
        Not a sound model file, or the name is taken or not a plain file name.
    """
    from phaseguide.models.model_file import load_model

    model = load_model(path)
    name = name or Path(path).stem
    if not name or Path(name).name != name or name.startswith("."):
        raise ModelError(f"{name!r} cannot be a model name; use letters, digits, '-' and '_'.")
    taken = {entry.name for entry in list_models()}
    if name in taken:
        raise ModelError(f"There is a model {name!r} already. Remove it first, or choose another name.")
    target = user_model_folder() / f"{name}{SUFFIX}"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, Path(path).read_bytes())
    return ZooEntry(name, target, "user", "", model.card)


def remove_model(name: str) -> Path:
    """Delete a model of the user's folder and return the file that is gone.

    Raises
    ------
    ModelError
        No such model, or it is built in.
    """
    target = user_model_folder() / f"{name}{SUFFIX}"
    if not target.is_file():
        if (built_in_folder() / f"{name}{SUFFIX}").is_file():
            raise ModelError(f"Model {name!r} is built in and cannot be removed.")
        raise ModelError(f"There is no model {name!r} among yours in {target.parent}.")
    target.unlink()
    return target
