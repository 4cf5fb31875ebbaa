"""What all tests share: markers with their reasons, an isolated data folder, the real micrographs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["NAPARI_CONFIG"] = ""  # before anything imports napari: no settings are read or written

# A busy machine is slow at times; that is no failure of the code.
settings.register_profile("phaseguide", deadline=None, parent=settings.default)
settings.load_profile("phaseguide")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run the tests that take over a minute")
    parser.addoption(
        "--update-behaviour",
        action="store_true",
        help="write what tests/behaviour holds anew, from today's program",
    )


USES_THE_SCREEN = {"test_live.py", "test_demo.py", "test_display.py"}
"""Files outside tests/widgets that open a window."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        # Where tests run side by side, a file stays together, and all windows are on one side: they share one
        # screen, and only one can have the keyboard.
        screen = "widgets" in item.path.parts or item.path.name in USES_THE_SCREEN
        item.add_marker(pytest.mark.xdist_group("screen" if screen else item.path.name))
    if not config.getoption("--run-slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="takes over a minute; pytest --run-slow runs it"))
    on_gpu = [item for item in items if "gpu" in item.keywords]
    if on_gpu:
        import torch

        if not torch.cuda.is_available():
            for item in on_gpu:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and there is none"))


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the user's own models and caches."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(folder))
    monkeypatch.delenv("PHASEGUIDE_EMBEDDINGS", raising=False)
    return folder


@pytest.fixture(autouse=True)
def _no_features_of_other_tests() -> None:
    """A test that counts how often an encoder runs finds nothing that another one has encoded."""
    embeddings = sys.modules.get("phaseguide.segmentation.network.embeddings")
    if embeddings is not None:
        embeddings.MEMORY.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real micrographs beside the repository; tests that need them skip where they are not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real micrographs (../shared/data) are not beside this checkout")
    return SHARED_DATA
