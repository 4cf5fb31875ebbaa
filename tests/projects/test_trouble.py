"""What can go wrong around a project: a sentence, a folder as it was, and work that can go on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phaseguide.errors import PhaseguideError, ProjectBusyError, ProjectError
from phaseguide.files import atomic
from phaseguide.files.locks import exclusive
from phaseguide.phases import PhaseScheme
from phaseguide.projects import change as change_module
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio
from tiny_models import NAMES, tiny_image, tiny_labels

F = "steel-0"
IS_ROOT = sys.platform == "win32" or os.geteuid() == 0


def files(folder: Path) -> dict[str, bytes]:
    """Everything that a project holds; the lock's file is no content."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def write_result(project: Project) -> None:
    project.write_result(
        F, tiny_labels(), {}, version="uhcs", model_sha256="", own=[1, 0, 0], achieved=[1, 0, 0],
        constrained=False,
    )  # fmt: skip


CHANGES: dict[str, Callable[[Project], Any]] = {
    "edits": lambda p: p.write_edits(F, np.full((64, 96), 2, np.uint8)),
    "result": write_result,
    "ratio": lambda p: p.set_ratio(F, AskedRatio(shares=[0.5, None, None], uncertainty=0.1)),
    "review": lambda p: p.review(F),
    "phases": lambda p: p.change_scheme(PhaseScheme.from_names(["a", "b"]), {1: 2, 2: 1, 3: 0}),
    "model": lambda p: p.use("uhcs"),
}


@pytest.fixture
def painted(project: Project) -> Project:
    project.write_edits(F, tiny_labels())
    return project


@pytest.mark.parametrize("kind", CHANGES)
def test_disk_full(painted: Project, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No space from the first, second ... file of a change on: as before, and it works once there is space."""
    before, real, refusals = files(painted.folder), os.fsync, []
    while True:
        left = len(refusals)

        def fsync(handle: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        with monkeypatch.context() as patch, pytest.raises(PhaseguideError) as refused:
            patch.setattr(os, "fsync", fsync)
            CHANGES[kind](painted)
        refusals.append(str(refused.value))
        assert "No space left on device" in refusals[-1]
        assert Project.open(painted.folder).file == painted.file
        if "log.jsonl" in refusals[-1]:
            break
        assert files(painted.folder) == before
    assert "what it tells of is done" in refusals[-1]
    assert len(refusals) >= 2, "there is at least one file, and the log"
    assert files(painted.folder) != before


@pytest.mark.parametrize("kind", ["result", "phases"])
def test_a_file_that_cannot_be_put_in_place_is_put_there_later(
    painted: Project, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As on Windows, where another program holds a file open: never half of a change."""

    def held(source: Any, target: Any) -> None:
        raise PermissionError(errno.EACCES, "is used by another program")

    with monkeypatch.context() as patch:
        patch.setattr(change_module.os, "replace", _only_moves(os.replace, held))
        with pytest.raises(ProjectError, match=r"cannot be put in place.*used by another program"):
            CHANGES[kind](painted)
    opened = Project.open(painted.folder)
    assert not (painted.folder / change_module.STAGING).exists()
    if kind == "result":
        assert np.array_equal(opened.read_result(F), tiny_labels())
    else:
        assert opened.scheme.names == ("a", "b")
        assert np.array_equal(opened.read_edits(F), np.array([0, 2, 1, 0], np.uint8)[tiny_labels()])
    painted.review(F)
    assert painted.file == Project.open(painted.folder).file, "who was refused goes on from what is there"


def _only_moves(real: Callable[..., None], instead: Callable[..., None]) -> Callable[..., None]:
    """Replace the moves out of the staging folder, not the writing into it."""

    def replace(source: Any, target: Any) -> None:
        moves = Path(source).name[0] != "." and change_module.STAGING in Path(source).parts
        (instead if moves else real)(source, target)

    return replace


@pytest.mark.skipif(IS_ROOT, reason="needs POSIX permissions and a user who is not root")
def test_read_only_folder(painted: Project) -> None:
    painted.folder.chmod(0o500)
    try:
        _is_read_only(painted)
    finally:
        painted.folder.chmod(0o700)


def test_read_only_folder_whoever_runs_this(painted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: Any, **_options: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    real = os.open

    def open_(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and painted.folder in Path(path).parents:
            denied()
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(atomic.tempfile, "mkstemp", denied)
    _is_read_only(painted)


def _is_read_only(project: Project) -> None:
    before = files(project.folder)
    opened = Project.open(project.folder)
    assert np.array_equal(opened.read_edits(F), tiny_labels()), "looking needs no permission to write"
    for change in CHANGES.values():
        with pytest.raises(PhaseguideError, match="may write"):
            change(opened)
    assert opened.file == project.file and files(project.folder) == before


def test_an_image_that_was_replaced_or_moved(project: Project, images: list[Path], tmp_path: Path) -> None:
    project.write_edits(F, tiny_labels())
    moved = images[0].rename(tmp_path / "moved.png")
    with pytest.raises(
        ProjectError, match=r"steel 0\.png: the image of field 'steel-0' is not there.*relink"
    ):
        project.read_image(F)
    Image.fromarray(tiny_image(9)).save(images[0])
    with pytest.raises(ProjectError, match=r"is not the image that field 'steel-0' was made of.*new field"):
        project.read_image(F)
    assert np.array_equal(project.read_edits(F), tiny_labels())
    with pytest.raises(ProjectError, match="is no image of field"):
        project.relink(F, images[0])
    project.relink(F, moved)
    assert np.array_equal(Project.open(project.folder).read_image(F).data, tiny_image(0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: {**data, "schema_version": 2}, "written by a newer Phase Guide .schema 2"),
        (lambda data: {**data, "colour": "red"}, r"is damaged \(colour: Extra inputs"),
        (lambda data: {**data, "fields": [{"id": "a"}]}, r"is damaged \(fields\.0\.name: Field required"),
        (lambda data: {**data, "phases": [{"label": 7, "name": "x"}]}, r"is damaged .*labels must be 1, 2"),
        (lambda data: [data], "is damaged"),
    ],
)
def test_a_project_file_of_somebody_else(
    project: Project, change: Callable[[Any], Any], sentence: str
) -> None:
    path = project.folder / "project.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ProjectError, match=sentence):
        Project.open(project.folder)
    before = files(project.folder)
    with pytest.raises(ProjectError, match=sentence):
        project.review(F)
    assert files(project.folder) == before, "what is not understood is not written over"


@pytest.mark.parametrize("content", [b"", b'{"schema_version": 1, "na', b"\xff\xfe\x00"])
def test_a_project_file_that_is_torn(project: Project, content: bytes) -> None:
    (project.folder / "project.json").write_bytes(content)
    with pytest.raises(ProjectError, match=r"project\.json: is damaged.*untouched"):
        Project.open(project.folder)


TRAINER = """
import sys, time
from phaseguide.projects.project import Project
with Project.open(sys.argv[1]).training_lock():
    print("learning", flush=True)
    time.sleep(120)
"""


def test_one_training_at_a_time_and_a_dead_one_blocks_nobody(project: Project) -> None:
    command = [sys.executable, "-c", TRAINER, str(project.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None and trainer.stdout.readline() == "learning\n"
        with (
            pytest.raises(ProjectError, match="is learning in this project already"),
            project.training_lock(),
        ):
            pass
        project.write_edits(F, tiny_labels())  # everything else goes on
        trainer.send_signal(signal.SIGKILL)
    with (
        project.training_lock(),
        pytest.raises(ProjectError, match="already"),
        Project.open(project.folder).training_lock(),
    ):
        pass
    with project.training_lock():
        pass


def test_a_program_that_holds_the_project_for_long_is_waited_for_only_so_long(project: Project) -> None:
    project.wait_s = 0.1
    with (
        exclusive(project.folder / ".lock", ""),
        pytest.raises(ProjectBusyError, match="another program is changing this project"),
    ):
        project.review(F)
    assert project.review(F).state == "reviewed"


def test_a_model_that_is_gone(project: Project, tmp_path: Path) -> None:
    with pytest.raises(PhaseguideError, match="there is no such model"):
        Project.create(
            tmp_path / "other", PhaseScheme.from_names(NAMES), model=str(tmp_path / "no.safetensors")
        )
    assert not (tmp_path / "other").exists()
