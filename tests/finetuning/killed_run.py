"""A run in a process that is killed at random moments, again and again; started by test_killed.py.

Torch is imported once; each run is a fork of this process, so that many can be killed in little time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

import phaseguide.finetuning.run as run_module
from phaseguide.events import Finished
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.resuming import read_interrupted
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import sources_from_project
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import load_model
from phaseguide.projects.project import Project

CONFIG = FinetuneConfig(epochs=4, crop=64, batch=2, threads=1, device="cpu", learning_rate=1e-3)


def learn(folder: Path, checkpoint: Path | None) -> str:
    """Run to the end, painting on the other field meanwhile; return the checksum of the weights."""
    project = Project.open(folder)
    start = load_model(project.model_path())
    sources = [s for s in sources_from_project(project) if s.name == "field0"]
    number = 0
    with project.training_lock():
        for event in finetune(start, sources, CONFIG, checkpoint=checkpoint):
            number += 1
            project.write_edits("field1", np.full((96, 128), 1 + number % 3, dtype=np.uint8))
            last = event
    assert isinstance(last, Finished)
    return tensors_sha256(last.result.model.segmenter.state_dict())


def check(folder: Path, checkpoint: Path, before: np.ndarray) -> None:
    """Everything that was complete is there."""
    project = Project.open(folder)
    edits = project.read_edits("field0")
    assert edits is not None and np.array_equal(edits, before), "edits of the field that is learnt from"
    other = project.read_edits("field1")
    assert other is None or (other == other[0, 0]).all(), "edits that were being written are whole"
    assert project.read_log(), "the log can be read"
    if checkpoint.exists():
        assert read_interrupted(checkpoint) is not None, "a checkpoint is complete"


def main(folder: Path, kills: int, seed: int) -> None:
    """Kill, look, go on; at the end the weights are those of a run that nobody killed."""
    run_module.SAVE_S = 0.0
    torch.set_num_threads(1)
    started = time.monotonic()
    wanted = in_a_fork(folder, None)
    # Each goes on where the one before was killed, so that half of the time of a run is enough to reach its end.
    long_enough = 0.5 * (time.monotonic() - started)
    checkpoint = Project.open(folder).training_folder() / "run.safetensors"
    edits = Project.open(folder).read_edits("field0")
    assert edits is not None
    rng, cut = random.Random(seed), 0
    while cut < kills:
        pid = os.fork()
        if pid == 0:
            learn(folder, checkpoint)
            os._exit(0)
        time.sleep(rng.uniform(0.0, long_enough))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        check(folder, checkpoint, edits)
        if os.WIFSIGNALED(status):
            cut += 1
        else:  # it was done before the blow: begin anew
            checkpoint.unlink(missing_ok=True)
    assert in_a_fork(folder, checkpoint) == wanted, "the weights of a run that nobody killed"
    print(f"{cut} kills survived")


def in_a_fork(folder: Path, checkpoint: Path | None) -> str:
    """`learn` in a process of its own; this one never computes, so that forks of it may."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, learn(folder, checkpoint).encode())
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    with os.fdopen(read) as file:
        return file.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
