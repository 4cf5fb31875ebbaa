"""What ``napari.yaml`` offers: everything but where the code lies."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="comes with napari")


def test_fields_of_the_manifest(held: Callable[[str, dict[str, Any]], None]) -> None:
    manifest = yaml.safe_load((files("phaseguide") / "napari.yaml").read_text(encoding="utf-8"))
    for command in manifest["contributions"]["commands"]:
        module, _, name = command.pop("python_name").partition(":")
        assert module.startswith("phaseguide.") and name
    contributions = manifest.pop("contributions")
    held("manifest", {**manifest, **contributions})
