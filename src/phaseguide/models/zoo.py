"""The zoo: models that ship with the package, models the user added, and models by path."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from phaseguide.errors import ModelError
from phaseguide.files.new_file import sweep_parts, write_new
from phaseguide.folders import user_model_folder
from phaseguide.models.card import Card
from phaseguide.models.model_file import read_card

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

SUFFIX = ".safetensors"

USUAL = "uhcs"
"""The model that ships which is listed first, and so chosen where nobody has chosen one."""

_LONGEST_NAME = 200
"""Bytes of a name; what is added to it must still fit into the 255 of a disk."""
# Windows knows neither these characters nor the names of devices.
_NOT_IN_NAMES = set('<>:"/\\|?*')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZooEntry:
    """A model that can be chosen by name.

    Attributes
    ----------
    name : str
    path : Path
    origin : {"built-in", "user"}
    problem : str
        Why it cannot be used; empty when its card reads well and nothing is missing.
    card : Card or None
        None where it cannot be read. With a problem: base weights are missing, and can be had.
    """

    name: str
    path: Path
    origin: Literal["built-in", "user"]
    problem: str
    card: Card | None


def built_in_folder() -> Path:
    """Folder of the models inside the package."""
    return Path(str(files("phaseguide"))) / "weights"


def list_models() -> list[ZooEntry]:
    """Every model that can be chosen by name: built-in ones, `USUAL` first, then the user's.

    A file that cannot be used has a `ZooEntry.problem`, whatever is wrong with it. Files that begin with a dot are not
    listed; those of imports that were killed are removed.
    """
    sweep_parts(user_model_folder())
    entries: list[ZooEntry] = []
    origins: tuple[tuple[Path, Literal["built-in", "user"]], ...] = (
        (built_in_folder(), "built-in"),
        (user_model_folder(), "user"),
    )
    for folder, origin in origins:
        for path in sorted(_model_files(folder), key=lambda path: (origin, path.stem) != ("built-in", USUAL)):
            if _is_name(path.stem):
                card, problem = _look(path)
                entries.append(ZooEntry(path.stem, path, origin, problem, card))
            else:
                name = os.fsencode(path.stem).decode("utf-8", "backslashreplace")
                problem = f"{name}{SUFFIX}: a model cannot have this name. Rename the file in {folder}."
                entries.append(ZooEntry(name, path, origin, problem, None))
    return entries


def _model_files(folder: Path) -> list[Path]:
    """What has the ending of a model in a folder, in order of name."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder)
    return [folder / name for name in sorted(names) if name.endswith(SUFFIX) and not name.startswith(".")]


def _look(path: Path) -> tuple[Card | None, str]:
    """Card of a model, and what is wrong with it or lacking; no weights are read."""
    from phaseguide.models.sam.weights import missing_base

    try:
        card = read_card(path)
        return card, missing_base(card)
    except ModelError as error:
        return None, str(error)
    except Exception as error:  # one bad file must not keep the others from being chosen
        _log.warning("%s: cannot be looked at.", path, exc_info=True)
        return (
            None,
            f"{path}: cannot be used ({type(error).__name__}: {str(error)[:100]}). Get the file again.",
        )


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a model: a path, or a name of the zoo (the user's first).

    A value that ends in ``.safetensors`` or holds a path separator is a path; anything else is a
    name, whatever files there are in the working directory.

    Raises
    ------
    ModelError
        Neither; the message lists the names there are.
    """
    text, path = str(name_or_path), Path(name_or_path)
    if path.suffix == SUFFIX or any(s in text for s in ("/", os.sep, os.altsep) if s):
        if not path.is_file():
            raise ModelError(f"{path}: there is no such model file.")
        return path
    if _is_name(text):
        for folder in (user_model_folder(), built_in_folder()):
            candidate = folder / f"{text}{SUFFIX}"
            if os.path.lexists(
                candidate
            ):  # what is wrong with one that is no file is told by whoever reads it
                return candidate
    names = ", ".join(sorted({entry.name for entry in list_models()})) or "none yet"
    raise ModelError(f"There is no model {text!r}. Models: {names}. Or give the path of a {SUFFIX} file.")


def open_model(name_or_path: str | Path) -> LoadedModel:
    """Find a model, load it and check it completely.

    Parameters
    ----------
    name_or_path : str or Path
        A name of the zoo (``"uhcs"``, or one of the user's models), or the path of a ``.safetensors`` file.

    Returns
    -------
    LoadedModel
        The network with its card; its phases are ``card.scheme``.

    Raises
    ------
    MissingBaseError
        It holds adapters, and the weights that they sit on are not at hand.
    ModelError
        No such model, or a file that is damaged, foreign or too new.
    """
    from phaseguide.models.model_file import load_model

    return load_model(find_model(name_or_path))


def add_model(path: str | Path, name: str | None = None) -> ZooEntry:
    """Copy a model file into the user's folder, after checking it completely.

    Raises
    ------
    ModelError
        Not a sound model file, one that cannot be read, or the name is taken or not a plain file name.
    PhaseguideError
        The copy cannot be written.
    """
    from phaseguide.models.model_file import check_model

    model = check_model(path)  # base weights may come later
    name = name or Path(path).stem
    check_name(name)
    taken = {entry.name for entry in list_models()}
    if name in taken:
        raise ModelError(f"There is a model {name!r} already. Choose another name, or delete that one first.")
    target = user_model_folder() / f"{name}{SUFFIX}"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from error
    write_new(target, data)
    return ZooEntry(name, target, "user", _look(target)[1], model.card)


def user_model_path(name: str) -> Path:
    """Return the file of a model of the user's, which may be moved or deleted.

    Raises
    ------
    ModelError
        Not a name, no such model, or it is built in.
    """
    check_name(name)
    path = user_model_folder() / f"{name}{SUFFIX}"
    if not os.path.lexists(path):  # a link to nowhere is listed, and can go
        if (built_in_folder() / f"{name}{SUFFIX}").is_file():
            raise ModelError(f"Model {name!r} is built in and cannot be removed.")
        raise ModelError(f"There is no model {name!r} among yours in {path.parent}.")
    return path


def free_name(name: str) -> str:
    """Return ``name``, or ``name-2``, ``name-3`` ... where a model has it already."""
    taken = {entry.name for entry in list_models()}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def plain_name(typed: str) -> str:
    """Return what of a text that was typed can name a model; perhaps nothing."""
    return "".join(c for c in typed.strip() if c.isalnum() or c in "-_ .").strip(". ")


def check_name(name: str) -> None:
    """Make sure that a text can name a model.

    Raises
    ------
    ModelError
        It cannot.
    """
    if not _is_name(name):
        raise ModelError(f"{name!r} cannot be a model name; use letters, digits, '-' and '_'.")


def _is_name(text: str) -> bool:
    """Whether a text can name a model: a plain file name on every system, and not taken for a path."""
    return (
        bool(text)
        and text.isprintable()
        and text == text.strip()
        and not _NOT_IN_NAMES.intersection(text)
        and not text.startswith(".")
        and not text.endswith((".", SUFFIX))
        and _DEVICES.match(text) is None
        and len(text.encode()) <= _LONGEST_NAME
    )
