"""Errors that a user can cause. Each message says what is wrong, where, and what to do next."""

from __future__ import annotations


class PhaseguideError(Exception):
    """Base of every error that a user's input can cause."""


class RatioError(PhaseguideError):
    """A phase ratio that cannot be meant: over 100 %, negative, an unknown phase."""


class SchemeError(PhaseguideError):
    """A phase scheme, or labels that do not fit one."""


class MicrographError(PhaseguideError):
    """An image or label file that cannot be read, written or used."""


class DatasetError(PhaseguideError):
    """A data-set folder whose content does not fit together."""


class ModelError(PhaseguideError):
    """A model file that is damaged, foreign, too new, or made for other input."""


class MissingBaseError(ModelError):
    """A model file is sound, but the weights that its adapters sit on are not at hand.

    Parameters
    ----------
    message : str
    sha256 : str
        Checksum that the model names them by.
    """

    def __init__(self, message: str, sha256: str = "") -> None:
        super().__init__(message)
        self.sha256 = sha256


class DeviceError(PhaseguideError):
    """A compute device that is not there, or memory that does not suffice."""


class WeightsTooLargeError(MemoryError):
    """The weights of a network do not fit into a device's memory, whatever the size of the image.

    No error for the user yet: whoever runs the network goes to another device, or tells.
    """


class TrainingError(PhaseguideError):
    """A training run that cannot start or go on."""


class ProjectError(PhaseguideError):
    """A project folder that cannot be opened or changed, or a field that is frozen or gone."""


class ProjectBusyError(ProjectError):
    """Another program is changing the project, for longer than was waited. Nothing is wrong with what was asked."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy or torch means that memory ran out."""
    text = str(error).lower()
    words = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
    # torch's own class is known by its name here, where torch is not imported.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(w in text for w in words)


def describe_refusal(error: Exception) -> str | None:
    """Say in one sentence what the system refused: memory, a file. None for any other error."""
    if is_out_of_memory(error):
        return "Not enough memory. Close other programs, or choose a smaller image or another --device."
    if not isinstance(error, OSError):
        return None
    file = f"{error.filename}: " if error.filename is not None else ""
    return f"{file}{error.strerror or error}. Check that it is there and may be used, and that the disk has space."
