"""A parameter shown is a parameter used: another value of a control is another job."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.segmentation.settings import Advanced
from phaseguide.settings import Settings, shown_fields
from phaseguide.widgets.finetune.form import FinetuneForm
from phaseguide.widgets.models import share_dialog
from phaseguide.widgets.project import new_project
from widget_helpers import micrograph, turn

NEEDS = {"embeddings_gb": "keep_embeddings"}
"""What must be on for a control to say anything."""


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def asked_of_the_worker(widget: Any) -> dict[str, Any]:
    """What the planner's job says that controls of the form can change."""
    job, _ = widget.planner.job()
    request = job.request
    return {
        "mode": request.mode,
        "smoothing_px": request.smoothing_px,
        "min_island_px": request.min_island_px,
        "invert": job.options.invert,
        "device": job.options.device,
        "runtime": job.options.runtime,
        "flips": job.options.flips,
        "tile": job.options.tile,
        "memory_mb": job.options.memory_mb,
        "keep_embeddings": job.options.embeddings_gb is not None,
        "embeddings_gb": job.options.embeddings_gb,
    }


@pytest.mark.parametrize("name", shown_fields(Advanced))
def test_another_value_under_advanced_is_another_job(name: str, widget: Any, viewer: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    widget.panel.table.boxes[0].setValue(20.0)
    controls = widget.panel.advanced.controls
    assert set(controls) == set(asked_of_the_worker(widget)), "every control is looked at here"
    if name in NEEDS:
        turn(controls[NEEDS[name]])
    before = asked_of_the_worker(widget)
    turn(controls[name])
    after = asked_of_the_worker(widget)
    also = {"embeddings_gb"} if name == "keep_embeddings" else set()
    assert {key for key in after if not np.array_equal(after[key], before[key])} == {name} | also


@pytest.mark.parametrize("name", shown_fields(FinetuneConfig))
def test_another_value_of_learning_is_another_run(name: str, qtbot: Any) -> None:
    form = FinetuneForm()
    qtbot.addWidget(form)
    before = form.value()
    turn(form.form.controls[name])
    after = form.value()
    assert {key for key, value in after if value != getattr(before, key)} == {name}


@pytest.mark.parametrize("dialog", [share_dialog, new_project])
def test_every_setting_of_a_dialog_is_read(dialog: Any) -> None:
    (form,) = (
        one for one in vars(dialog).values() if isinstance(one, type) and one.__module__ == dialog.__name__
        and issubclass(one, Settings)
    )  # fmt: skip
    assert set(form.model_fields) == set(shown_fields(form))
    package = Path(dialog.__file__).parent
    read = {
        node.attr
        for file in (Path(dialog.__file__), package / "dock.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert set(form.model_fields) <= read
