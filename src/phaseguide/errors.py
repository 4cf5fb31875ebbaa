"""Errors that a user can cause. Each message says what is wrong, where, and what to do next."""

from __future__ import annotations

import errno
import logging
import re
from copy import copy

_log = logging.getLogger(__name__)


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


class OutputError(PhaseguideError):
    """A file that the program did not make, where it would have to write."""


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


class UnexpectedError(PhaseguideError):
    """A fault that no user caused, put into a sentence; where it was is in the log."""


# What libraries say in their own words: torch and its allocators, CUDA with cuBLAS and cuDNN, MPS, oneDNN, C++,
# NumPy, mapped files, codecs.
_NO_MEMORY = re.compile(
    r"out of memory|out_of_memory|(not enough|insufficient) memory|paging file is too small|can't start new thread"
    r"|(can't|cannot|could not|unable to|failed to) (allocate|reserve|mmap|map memory)(?!.* static TLS)"
    r"|could not create a (primitive|memory)|alloc(ation)?[_ ]fail|memory allocation|bad_alloc|bad_array_new_length",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, in the words of whatever library met it.

    What an error was raised from counts too. An error for the user is none: it has been put into words already.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and not isinstance(link, PhaseguideError):
        seen.add(id(link))
        # torch's own class is known by its name here, where torch is not imported.
        if isinstance(link, MemoryError) or type(link).__name__ == "OutOfMemoryError":
            return True
        if isinstance(link, OSError) and link.errno == errno.ENOMEM:
            return True
        if _NO_MEMORY.search(str(link)):
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def describe_refusal(error: Exception) -> str | None:
    """Say in one sentence what the system refused: memory, a file. None for any other error."""
    if is_out_of_memory(error):
        return "Not enough memory. Close other programs, or choose a smaller image or another --device."
    if isinstance(error, RecursionError):
        return "Something in a file is nested too deep to be read. Give a sound file."
    if not isinstance(error, OSError):
        return None
    file = f"{error.filename}: " if error.filename is not None else ""
    return f"{file}{error.strerror or error}. Check that it is there and may be used, and that the disk has space."


def as_user_error(error: Exception, name: str) -> PhaseguideError:
    """Return an error as a sentence that names what it befell, so that the work on others goes on.

    A new error, since the one that was raised holds the frames of an image, and so its arrays. One that neither
    the user nor the system caused goes into the log as it is.
    """
    if isinstance(error, PhaseguideError):
        return _anew(error)
    if (message := describe_refusal(error)) is not None:
        return PhaseguideError(f"{name}: {message}")
    _log.error("unexpected error with %s", name, exc_info=error)
    return UnexpectedError(
        f"{name}: unexpected error in Phase Guide ({type(error).__name__}: {error}). Please report it with the log."
    )


def _anew(error: PhaseguideError) -> PhaseguideError:
    told = copy(error)  # keeps what the error carries beside its sentence
    return told.with_traceback(None)
