"""The folder of an interrupted run is data: what is odd in it is no offer, or is refused with a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source
from phaseguide.jobs.finetune_start import FinetuneJob, Start
from phaseguide.jobs.interrupted import (
    at_work,
    find_unfinished,
    is_running,
    new_run_folder,
    read_run,
    write_run,
)
from phaseguide.phases import PhaseScheme

IMAGE = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
LABELS = np.ones((64, 64), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was begun and came to no checkpoint."""
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path))
    made = new_run_folder(None)
    source = Source("steel", IMAGE, LABELS, "full", (0.5, None), 0.1, "heat 7")
    config = FinetuneConfig(epochs=5)
    write_run(
        FinetuneJob(Start(None, True, PhaseScheme.from_names(["a", "b"])), (), config, "tuned", None, made),
        [source],
        config,
    )
    return made


def _change(folder: Path, **values: Any) -> None:
    path = folder / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_run_comes_back_as_it_was(folder: Path) -> None:
    (unfinished,) = find_unfinished(None)
    job = read_run(unfinished.folder, None)
    (source,) = job.specs[0].read()
    assert (job.name, job.config.epochs) == ("tuned", 5)
    assert (source.ratio, source.tolerance, source.group) == ((0.5, None), 0.1, "heat 7")
    assert np.array_equal(source.image, IMAGE) and np.array_equal(source.labels, LABELS)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a name that climbs": lambda f: _change(f, name="../../evil"),
    "a name of a path": lambda f: _change(f, name="/etc/passwd"),
    "no name": lambda f: _change(f, name=""),
    "sources that are none": lambda f: _change(f, sources=[3]),
    "a ratio of words": lambda f: _change(
        f, sources=[{"name": "", "kind": "full", "ratio": ["x"], "tolerance": 1, "labels": True}]
    ),
    "phases that are none": lambda f: _change(
        f, start={"path": None, "fresh": True, "scheme": 3, "origin": []}
    ),
    "a list": lambda f: (f / "job.json").write_text("[]"),
    "nested deep": lambda f: (f / "job.json").write_text("[" * 99_999),
    "not finite": lambda f: (f / "job.json").write_text('{"config": {"epochs": NaN}}'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_job_without_sense_is_refused(folder: Path, name: str) -> None:
    CHANGES[name](folder)
    with pytest.raises(TrainingError, match="Discard it and start again"):
        read_run(folder, None)
    find_unfinished(None)  # and harms no dock


@pytest.mark.parametrize("kind", ["larger than it is", "endless", "torn", "pickled", "link", "pipe", "gone"])
def test_an_image_that_is_something_else_is_refused(folder: Path, kind: str, tmp_path: Path) -> None:
    path = folder / "0_image.npy"
    written = path.read_bytes()
    path.unlink()
    shapes = {
        "larger than it is": b"(999999, 999999), }",
        "endless": b"(%d, 64), }" % 10**40,
        "torn": b"(64, 64), ",
    }
    if kind in shapes:
        heading, body = written[:128], written[128:]
        told = heading[: heading.index(b"(")] + shapes[kind]
        path.write_bytes(told.ljust(127) + b"\n" + body)
    elif kind == "pickled":
        with path.open("wb") as file:
            np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    elif kind == "link":
        np.save(tmp_path / "secret.npy", IMAGE)
        path.symlink_to(tmp_path / "secret.npy")
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes with names here")
        os.mkfifo(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_run(folder, None).specs[0].read()


@pytest.mark.parametrize("mark", ["[]", "{}", '{"pid": "x"}', '{"pid": 1e300, "started": 0}', "[" * 9999])
def test_a_mark_without_sense_holds_no_run(folder: Path, mark: str) -> None:
    (folder / "running.json").write_text(mark)
    assert not is_running(folder)
    assert len(find_unfinished(None)) == 1


@pytest.mark.parametrize("mark", [None, '{"pid": 1, "started": 0}'])
def test_a_run_of_the_version_before_is_offered_and_goes_on(folder: Path, mark: str | None) -> None:
    if mark is not None:
        (folder / "running.json").write_text(mark)
    (unfinished,) = find_unfinished(None)
    with at_work(unfinished.folder):
        assert read_run(unfinished.folder, None).name == "tuned"


def test_a_run_is_held_by_one_program_and_let_go_at_its_end(folder: Path) -> None:
    with at_work(folder):
        assert is_running(folder) and not find_unfinished(None)
        with pytest.raises(TrainingError, match="Another napari"), at_work(folder):
            pytest.fail("two at once")
    assert not is_running(folder) and len(find_unfinished(None)) == 1


def test_a_link_in_place_of_the_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (folder / "running.lock").symlink_to(precious)
    assert not is_running(folder)
    with pytest.raises(OSError, match="link"), at_work(folder):
        pytest.fail("held")
    assert precious.read_text() == "mine"
