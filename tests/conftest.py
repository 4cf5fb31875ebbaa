"""What all tests share: markers with their reasons, an isolated data folder, the real micrographs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from screen import MISSING, Screen, can_open_windows, virtual_screen_is_possible

os.environ["NAPARI_CONFIG"] = ""  # before anything imports napari: no settings are read or written

# A busy machine is slow at times; that is no failure of the code. Each run tries other examples.
for name, examples in (("quick", 40), ("thorough", 100)):
    settings.register_profile(name, deadline=None, derandomize=False, max_examples=examples)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-slow", action="store_true", help="also run the slow tests, and more examples of the others"
    )
    parser.addoption(
        "--update-behaviour",
        action="store_true",
        help="write what tests/behaviour holds anew, from today's program",
    )
    parser.addoption(
        "--show", action="store_true", help="open windows on your own screen, not on a virtual one"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before hypothesis looks for a profile on the command line, and before tests are read, which take theirs from it.
    settings.load_profile("thorough" if config.getoption("--run-slow") else "quick")


QT_FIXTURES = {"qapp", "qtbot", "make_napari_viewer"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what opens windows: all that asks for Qt, by whatever fixtures."""
    if QT_FIXTURES & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.window)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--run-slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; pytest --run-slow runs it"))
    on_gpu = [item for item in items if "gpu" in item.keywords]
    if on_gpu:
        import torch

        if not torch.cuda.is_available():
            for item in on_gpu:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and there is none"))


SCREEN = pytest.StashKey[Screen]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give this process, which may be one of several that run side by side, a screen of its own."""
    # Collecting garbage, which closing a viewer does several times, took half of the time of a test with a window:
    # no need to look again and again at the objects of the libraries that are imported by now.
    gc.collect()
    gc.freeze()
    config = session.config
    if config.option.collectonly or not any("window" in item.keywords for item in session.items):
        return
    if not can_open_windows():
        raise pytest.UsageError(MISSING)
    if virtual_screen_is_possible() and not config.getoption("--show"):
        config.stash[SCREEN] = Screen()


def pytest_unconfigure(config: pytest.Config) -> None:
    if (screen := config.stash.get(SCREEN, None)) is not None:
        screen.close()


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Let typer's runner make the tree of commands once, not for each line that is tried."""
    import typer.testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))
        yield


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of empty folders that are not there yet; no list of those before is read, as `mktemp` does."""
    root = tmp_path_factory.mktemp("data")
    return (root / str(number) for number in count())


@pytest.fixture(autouse=True)
def data_dir(data_dirs: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the user's own models and caches."""
    folder = next(data_dirs)
    folder.mkdir()
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(folder))
    monkeypatch.delenv("PHASEGUIDE_EMBEDDINGS", raising=False)
    return folder


@pytest.fixture(autouse=True)
def _no_features_of_other_tests() -> None:
    """A test that counts how often an encoder runs finds nothing that another one has encoded."""
    embeddings = sys.modules.get("phaseguide.segmentation.network.embeddings")
    memory = getattr(embeddings, "MEMORY", None)  # none while a worker that lives on imports it
    if memory is not None:
        memory.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real micrographs beside the repository; tests that need them skip where they are not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real micrographs (../shared/data) are not beside this checkout")
    return SHARED_DATA
