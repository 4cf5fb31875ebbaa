"""A project keeps what it is told: fields, labels, results, states, versions, log."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from phaseguide.errors import MicrographError, ModelError, ProjectError, RatioError, SchemeError
from phaseguide.micrographs import read_micrograph, write_label_map
from phaseguide.models.model_file import load_model, read_card
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio, FieldEntry
from tiny_models import tiny_image, tiny_labels, tiny_model

SHAPE = (64, 96)
F = "steel-0"


def result(project: Project, field_id: str = F, *, version: str = "uhcs", value: int = 1) -> FieldEntry:
    """Write a result of one phase."""
    shares = [float(label == value) for label in range(1, len(project.scheme) + 1)]
    return project.write_result(
        field_id,
        np.full(SHAPE, value, np.uint8),
        {"model": {"name": version}},
        version=version,
        model_sha256="0" * 64,
        own=shares,
        achieved=shares,
        constrained=False,
    )


def version(project: Project, model: Path, **told: Any) -> str:
    loaded = load_model(model)
    return project.add_version(
        loaded.segmenter,
        loaded.card,
        **{
            "parent": "uhcs", "parent_sha256": "1", "data_sha256": "2", "settings": {"epochs": 3},
            "before": {"dice": 0.5}, "after": {"dice": 0.6}, **told,
        },
    ).id  # fmt: skip


def same_again(project: Project) -> Project:
    """Open it anew, as another program does."""
    again = Project.open(project.folder)
    assert again.file == project.file
    return again


def test_a_project_is_what_it_was_when_it_is_opened_again(project: Project, scheme: PhaseScheme) -> None:
    again = same_again(project)
    assert again.scheme == scheme
    assert [(f.id, f.name, f.specimen, f.state) for f in again.fields] == [
        ("steel-0", "steel 0", "A", "unreviewed"),
        ("steel-1", "steel 1", "A", "unreviewed"),
    ]
    assert Project.open(project.folder / "project.json").file == project.file
    assert again.file.name == "project"


def test_a_folder_holds_one_project(project: Project, scheme: PhaseScheme) -> None:
    with pytest.raises(ProjectError, match="holds a project already"):
        Project.create(project.folder, scheme)
    with pytest.raises(ProjectError, match="holds no project"):
        Project.open(project.folder / "nowhere")


def test_ids_are_unique_and_safe_whatever_a_file_is_called(project: Project, tmp_path: Path) -> None:
    names = ["other/steel 0.png", "äß µm,50%.png", "---.png", "other/STEEL-0.png"]
    ids = []
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(tiny_image(10 + number)).save(path)
        ids.append(project.add_field(path).id)
    assert ids == ["steel-0-2", "m-50", "field", "STEEL-0-3"]


def test_images_inside_the_folder_move_with_it(project: Project, tmp_path: Path) -> None:
    (project.folder / "images").mkdir()
    Image.fromarray(tiny_image(5)).save(project.folder / "images" / "inside.png")
    entry = project.add_field(project.folder / "images" / "inside.png")
    assert entry.images[0].path == "images/inside.png"
    assert Path(project.field(F).images[0].path).is_absolute()
    shutil.move(project.folder, tmp_path / "moved")
    assert np.array_equal(Project.open(tmp_path / "moved").read_image("inside").data, tiny_image(5))


def test_an_image_is_added_once(project: Project, images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="already, as field 'steel-0'"):
        project.add_field(images[0])
    copy = shutil.copy(images[1], tmp_path / "copy.png")
    with pytest.raises(ProjectError, match="already, as field 'steel-1'"):
        project.add_image(F, copy, "BSE")


def test_what_is_no_single_plane_is_refused(project: Project, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "stack.tif", np.stack([tiny_image(n) for n in range(4)]), photometric="minisblack"
    )
    with pytest.raises(ProjectError, match="stack of 4 planes"):
        project.add_field(tmp_path / "stack.tif")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(MicrographError, match=r"text\.png"):
        project.add_field(tmp_path / "text.png")
    assert len(project.fields) == 2


def test_a_second_detector_shows_the_same_field(project: Project, tmp_path: Path) -> None:
    Image.fromarray(tiny_image(7)).save(tmp_path / "bse.png")
    entry = project.add_image(F, tmp_path / "bse.png", "BSE")
    assert [image.detector for image in entry.images] == ["", "BSE"]
    assert np.array_equal(project.read_image(F).data, tiny_image(0)), "the first one is segmented"
    Image.fromarray(tiny_image(8, (32, 32))).save(tmp_path / "small.png")
    with pytest.raises(ProjectError, match="32 x 32 px, but field 'steel-0' is 64 x 96 px"):
        project.add_image(F, tmp_path / "small.png", "SE")


@pytest.mark.parametrize("kind", ["edits", "truth"])
def test_labels_come_back_with_their_scale(project: Project, tmp_path: Path, kind: str) -> None:
    write_label_map(tmp_path / "scaled.tif", tiny_image(3), 0.05)
    entry = project.add_field(tmp_path / "scaled.tif")
    assert getattr(project, f"read_{kind}")(entry.id) is None
    getattr(project, f"write_{kind}")(entry.id, tiny_labels())
    again = same_again(project)
    assert np.array_equal(getattr(again, f"read_{kind}")(entry.id), tiny_labels())
    file = project.folder / kind / f"scaled_{kind}.tif"
    assert read_micrograph(file).pixel_size_um == pytest.approx(0.05)
    assert tifffile.imread(file).dtype == np.uint8


def test_labels_that_do_not_fit_are_refused(project: Project) -> None:
    project.write_edits(F, tiny_labels())
    with pytest.raises(ProjectError, match="10 x 10 px, but its image is 64 x 96 px"):
        project.write_edits(F, np.ones((10, 10), np.uint8))
    with pytest.raises(SchemeError, match="label value 4"):
        project.write_edits(F, np.full(SHAPE, 4, np.uint8))
    assert np.array_equal(project.read_edits(F), tiny_labels())


def test_a_result_has_its_record_beside_it(project: Project) -> None:
    result(project, value=2)
    entry = same_again(project).field(F).result
    assert entry is not None and entry.achieved == [0, 1, 0] and entry.version == "uhcs"
    assert (project.read_result(F) == 2).all()
    record = json.loads((project.folder / entry.record).read_text())
    assert record == {"labels": "steel-0_labels.tif", "model": {"name": "uhcs"}}
    assert project.read_result("steel-1") is None


def test_a_reviewed_field_is_frozen(project: Project) -> None:
    result(project, value=2)
    project.write_edits(F, tiny_labels())
    project.review(F)
    for change in (
        lambda: result(project, value=1),
        lambda: project.write_edits(F, np.zeros(SHAPE, np.uint8)),
        lambda: project.write_truth(F, tiny_labels()),
    ):
        with pytest.raises(ProjectError, match=r"'steel-0' is reviewed.*Reopen"):
            change()
    assert (project.read_result(F) == 2).all() and np.array_equal(project.read_edits(F), tiny_labels())
    project.reopen(F)
    result(project, value=1)
    assert (project.read_result(F) == 1).all()


def test_a_rejected_field_says_why(project: Project) -> None:
    with pytest.raises(ProjectError, match="Say why"):
        project.reject(F, "  ")
    assert project.reject(F, "out of focus ").reason == "out of focus"
    with pytest.raises(ProjectError, match="is rejected \\(out of focus\\)"):
        result(project)
    assert project.reopen(F).reason == ""


def test_a_ratio_is_kept_as_it_is_meant(project: Project) -> None:
    project.set_ratio(F, AskedRatio(shares=[0.333, 0.333, 0.333], uncertainty=0.1, source="field"))
    kept = same_again(project).field(F).ratio
    assert kept is not None and sum(kept.asked) == pytest.approx(1)
    project.set_ratio(F, AskedRatio(shares=[0.2, None, None], uncertainty=0.3))
    assert np.array_equal(project.field(F).ratio.asked, [0.2, np.nan, np.nan], equal_nan=True)  # type: ignore[union-attr]
    for shares, source in (([0.9, 0.9, 0.9], "field"), ([0.5, 0.5], "field"), ([0.5, None, None], "gossip")):
        with pytest.raises(RatioError):
            project.set_ratio(F, AskedRatio(shares=shares, uncertainty=0.1, source=source))
    assert project.set_ratio(F, None).ratio is None


def test_results_of_several_models_are_flagged(project: Project) -> None:
    project.use("uhcs")
    result(project)
    assert project.stale_fields() == () and project.mixed_versions() == set()
    result(project, "steel-1", version="v009")
    assert project.mixed_versions() == {"uhcs", "v009"}
    assert [f.id for f in project.stale_fields()] == ["steel-1"]
    project.review("steel-1")
    assert project.stale_fields() == () and project.mixed_versions() == {"uhcs", "v009"}
    project.reject("steel-1", "scratched")
    assert project.mixed_versions() == set()


def test_every_change_is_logged_after_it_happened(project: Project) -> None:
    project.write_edits(F, tiny_labels())
    result(project)
    project.set_ratio(F, AskedRatio(shares=[0.2, None, None], uncertainty=0.3))
    project.review(F)
    with pytest.raises(ProjectError):
        result(project)
    project.log("edit", painted_px=3)
    lines = project.read_log()
    assert [line["event"] for line in lines] == [
        "created", "field added", "field added", "edits saved", "segmented", "ratio", "reviewed", "edit",
    ]  # fmt: skip
    assert lines[3]["field"] == F and lines[3]["labelled_px"] == 64 * 96 and lines[-1]["painted_px"] == 3
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_a_torn_line_of_the_log_is_passed_over(project: Project) -> None:
    with (project.folder / "log.jsonl").open("ab") as file:
        file.write('{"time": "2026", "event": "tor\u00e4'.encode()[:-1])
    project.reject(F, "a reason with\u2028a line separator")
    events = project.read_log()
    assert [line["event"] for line in events] == ["created", "field added", "field added", "rejected"]
    assert "\u2028" in events[-1]["reason"]


def test_two_programs_lose_nothing_of_each_other(project: Project) -> None:
    other = Project.open(project.folder)
    other.review("steel-1")
    project.reject(F, "dark")
    assert [f.state for f in project.fields] == ["rejected", "reviewed"]
    with pytest.raises(ProjectError, match="reviewed"):
        other.write_edits("steel-1", tiny_labels())


def test_threads_lose_nothing_of_each_other(project: Project) -> None:
    def work(number: int) -> None:
        for step in range(5):
            project.set_ratio(
                f"steel-{number % 2}", AskedRatio(shares=[0.1 * number, None, None], uncertainty=step)
            )

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same_again(project)
    assert len(project.read_log()) == 3 + 20
    assert {round(f.ratio.shares[0] * 10) % 2 for f in project.fields if f.ratio} == {0, 1}  # type: ignore[operator]


def test_versions_are_never_written_over(project: Project, tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    assert version(project, model) == "v001"
    (project.folder / "models" / "v002.safetensors").write_bytes(b"of somebody else")
    assert version(project, model, note="longer") == "v003"
    again = same_again(project)
    assert [(v.id, v.note, v.settings, v.after) for v in again.versions] == [
        ("v001", "", {"epochs": 3}, {"dice": 0.6}),
        ("v003", "longer", {"epochs": 3}, {"dice": 0.6}),
    ]
    assert read_card(again.version_path("v003")).version == "v003"
    assert (project.folder / "models" / "v002.safetensors").read_bytes() == b"of somebody else"


def test_a_model_has_one_name(project: Project, tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    with pytest.raises(ProjectError, match="no model is in use"):
        project.model_path()
    v001 = version(project, model)
    project.use(v001)
    assert project.model_path() == project.version_path(v001)
    assert project.name_of(project.version_path(v001)) == v001
    project.use(str(model))
    assert project.current == str(model) and project.model_path() == model
    project.use("uhcs")
    assert project.name_of(project.model_path()) == "uhcs"
    with pytest.raises(ModelError, match="no model 'unheard-of'"):
        project.use("unheard-of")
    assert same_again(project).current == "uhcs"


def test_a_deleted_version_waits_in_the_recycle_folder(project: Project, tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    first, second = version(project, model), version(project, model)
    project.use(second)
    with pytest.raises(ProjectError, match="v002 is in use"):
        project.delete_version(second)
    data = project.version_path(first).read_bytes()
    entry = project.delete_version(first)
    assert entry.deleted and entry.file.startswith("recycle/")
    for refused in (project.version_path, project.use, project.delete_version):
        with pytest.raises(ProjectError, match=r"v001 was deleted.*Restore"):
            refused(first)
    assert version(project, model) == "v003", "an id is not given twice"
    project.restore_version(first)
    assert same_again(project).version_path(first).read_bytes() == data
    with pytest.raises(ProjectError, match="was not deleted"):
        project.restore_version(first)
    with pytest.raises(ProjectError, match=r"no version 'v9'.*v001, v002, v003"):
        project.version_path("v9")
