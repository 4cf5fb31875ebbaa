"""Kill -9 of a real process while it learns, at random moments: what it learnt from and its last checkpoint stay."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from phaseguide.control import Control
from phaseguide.events import Finished
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source
from phaseguide.jobs.finetune import StartCache, run_finetune
from phaseguide.jobs.finetune_start import FinetuneJob, SourceSpec, Start
from phaseguide.jobs.interrupted import discard_run, find_unfinished, new_run_folder, read_run
from phaseguide.models.model_file import read_card
from widgets_finetune import band_labels, banded

PROCESS = """
    import sys
    import phaseguide.finetuning.run as engine
    from pathlib import Path
    from phaseguide.control import Control
    from phaseguide.jobs.finetune import StartCache, run_finetune
    from phaseguide.jobs.interrupted import find_unfinished, read_run

    engine.SAVE_S = 0.0
    run = find_unfinished(None)[0]
    for event in run_finetune(read_run(run.folder, None), StartCache(), Control(), None):
        print(type(event).__name__, flush=True)
"""


def job(model: Path) -> FinetuneJob:
    labels = np.zeros_like(band_labels())
    labels[20:180:30] = band_labels()[20:180:30]
    source = Source("steel", banded(), labels, "edits")
    start = Start(model, False, read_card(model).scheme)
    config = FinetuneConfig(epochs=100_00, crop=96, patience=0, threads=1)
    spec = SourceSpec("steel", "steel", lambda: [source])
    return FinetuneJob(start, (spec,), config, "tuned", None, new_run_folder(None))


def begin(model: Path) -> None:
    """Start a run in this process and leave it after its first event from the network."""
    events = run_finetune(job(model), StartCache(), Control(), None)
    for _, _event in zip(range(4), events, strict=False):
        pass
    events.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills: int, model_file: Path) -> None:
    begin(model_file)
    (unfinished,) = find_unfinished(None)
    rng, reached = random.Random(0), unfinished.epoch
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("EpochDone"):
                break
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
        (unfinished,) = find_unfinished(None)  # a mark of a dead process does not count
        assert unfinished.epoch > reached
        reached = unfinished.epoch
    control = Control()
    taken = read_run(unfinished.folder, None)
    for event in run_finetune(taken, StartCache(), control, None):
        control.stop()
        if isinstance(event, Finished):
            assert len(event.result.history) >= reached and event.result.model.card.name == "tuned"
            break
    else:
        pytest.fail("the run did not end with a result")
    discard_run(unfinished.folder)
    assert not find_unfinished(None)


def test_a_torn_folder_is_no_offer(model_file: Path) -> None:
    begin(model_file)
    (unfinished,) = find_unfinished(None)
    checkpoint = unfinished.folder / "checkpoint.safetensors"
    checkpoint.write_bytes(b"half a check")
    (again,) = find_unfinished(None)
    assert again.epoch == 0 and "before its first checkpoint" in again.describe()
    (unfinished.folder / "job.json").write_text("{", encoding="utf-8")
    assert not find_unfinished(None)
