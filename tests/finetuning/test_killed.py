"""A process that is killed while it learns loses nothing that was complete, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from tiny_models import NAMES, tiny_image, tiny_labels, tiny_model

SCRIPT = Path(__file__).with_name("killed_run.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments(tmp_path: Path, kills: int) -> None:
    model = tiny_model(tmp_path)
    project = Project.create(tmp_path / "heat", PhaseScheme.from_names(NAMES), model=str(model))
    for i in range(2):
        path = tmp_path / f"field{i}.png"
        Image.fromarray(tiny_image(i, (96, 128))).save(path)
        project.add_field(path)
    edits = np.zeros((96, 128), dtype=np.uint8)
    edits[10:80:9, 5:-5] = tiny_labels((96, 128))[10:80:9, 5:-5]
    project.write_edits("field0", edits)
    seed = int.from_bytes(os.urandom(4))
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(project.folder), str(kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, f"seed {seed}\n{ran.stderr[-3000:]}"
    assert f"{kills} kills survived" in ran.stdout
