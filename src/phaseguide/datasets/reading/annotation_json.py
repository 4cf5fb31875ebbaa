"""Reading a JSON file that an annotation program has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseguide.errors import DatasetError
from phaseguide.files.json_files import read_json


def read_annotation_json(file: Path, most_bytes: int, remedy: str) -> Any:
    """Read a file of at most so many bytes; `DatasetError` names it and ends with ``remedy``, what to do."""
    try:
        return read_json(file, most_bytes)
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise DatasetError(f"{file}: is not sound JSON ({error}). {remedy}") from error
