"""Where the data of the user lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def user_data_folder() -> Path:
    """Folder of everything that is kept for the user; the variable PHASEGUIDE_DATA_DIR moves it."""
    told = os.environ.get("PHASEGUIDE_DATA_DIR")
    return Path(told or platformdirs.user_data_dir("phaseguide", appauthor=False))


def user_cache_folder() -> Path:
    """Folder of what can be made again; the variable PHASEGUIDE_DATA_DIR moves it too."""
    told = os.environ.get("PHASEGUIDE_DATA_DIR")
    return Path(told or platformdirs.user_cache_dir("phaseguide", appauthor=False))


def user_model_folder() -> Path:
    """Folder of the models that the user added."""
    return user_data_folder() / "models"
