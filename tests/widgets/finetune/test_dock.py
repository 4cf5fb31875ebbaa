"""The Fine-tune widget in a real viewer, worked with the mouse as a person does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import PRESETS
from phaseguide.jobs import finetune
from phaseguide.jobs.interrupted import runs_folder
from phaseguide.models.model_file import read_card
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.hub import hub_of
from tiny_models import NAMES, tiny_dataset
from widgets_finetune import band_labels, banded, click, paint_bands
from workbench_helpers import close_workbench, open_part


@pytest.fixture
def shown() -> None:
    """For tests that use the mouse, which only a window on the screen gets."""


@pytest.fixture
def viewer(request: pytest.FixtureRequest) -> Any:
    if "shown" in request.fixturenames:
        return request.getfixturevalue("make_napari_viewer")(show=True)
    return request.getfixturevalue("model_viewer")


@pytest.fixture
def image(viewer: Any) -> Any:
    return viewer.add_image(banded(), name="steel")


@pytest.fixture
def dock(viewer: Any, image: Any, model_file: Path, qtbot: Any) -> Iterator[Any]:
    widget = open_dock(viewer, model_file)
    yield widget
    widget.runner.control.stop()
    qtbot.waitUntil(lambda: not finetune._learning.locked(), timeout=60_000)


def open_dock(viewer: Any, model_file: Path) -> Any:
    _, widget = open_part(viewer, "Fine-tune")
    widget.panel.model_box.open_file(model_file)
    widget.panel.form.amount.setValue(3)
    widget.panel.form.form.controls["crop"].setValue(96)
    widget.panel.form.form.controls["preview_seconds"].setValue(0.5)
    widget.panel.form.form.controls["crossfit"].setValue(0)  # fits that judge have tests of their own
    return widget


def ready(dock: Any, qtbot: Any) -> None:
    dock.setup.look()
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=60_000)
    assert dock.panel.start_button.isEnabled()


def start(dock: Any, qtbot: Any) -> None:
    ready(dock, qtbot)
    click(qtbot, dock.panel.start_button)
    assert dock.runner.running


def finish(dock: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not dock.runner.running, timeout=120_000)


def run(dock: Any, qtbot: Any) -> None:
    start(dock, qtbot)
    finish(dock, qtbot)
    assert dock.state.outcome is not None, dock.panel.status.text()


def line_of(dock: Any, image: Any) -> Any:
    return dock.panel.sources.lines["image", image.unique_id]


def test_nothing_to_learn_from_is_said(dock: Any, qtbot: Any) -> None:
    dock.setup.look()
    qtbot.waitUntil(lambda: "Nothing to learn from yet" in dock.panel.estimate.text(), timeout=30_000)
    assert not dock.panel.start_button.isEnabled()
    dock.start()  # as a script might
    assert "nothing to learn from" in dock.panel.status.text() and not dock.runner.running


def test_strokes_keep_and_go_back(
    shown: None, dock: Any, viewer: Any, image: Any, qtbot: Any, model_file: Path
) -> None:
    edits = paint_bands(viewer, image, dock.panel.scheme())
    painted = edits.data.copy()
    hub_of(viewer).model = model_file
    heard = Listener(viewer)
    dock.panel.form.amount.setValue(2)
    dock.panel.form.form.controls["crossfit"].setValue(2)
    run(dock, qtbot)
    assert "by one of 2 fits that did not learn from it" in dock.panel.result.where.text()
    assert "painted px (" in dock.panel.result.verdict.text() and "range" in dock.panel.result.verdict.text()
    assert np.array_equal(edits.data, painted), "no program writes into the edits"
    result = dock.panel.result
    names = list(dock.panel.scheme().names)
    assert [row[0] for row in result.cells] == [*names, "Mean Dice", "Composition error (pp)"]
    assert (
        sum(int(row[4].replace(",", "")) for row in result.cells[:3])
        == dock.state.outcome.result.after.pixels
    )
    curves = dock.panel.curves
    assert len(curves.points["Loss"][""]) == len(curves.ranges) == 2
    assert len(curves.points["Dice, tested (%)"][""]) == 3, "the model before is the first point"
    assert set(dock.panel.curves.points["γ and δ"]) == {"γ", "δ"}
    click(qtbot, result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding)
    kept = dock.state.outcome.kept
    assert read_card(kept).training["parent"] == "tiny-plm" and heard.paths == [kept]
    assert dock.panel.model_box.path == kept and not result.keep.isEnabled()
    assert not list(runs_folder(None).glob("*/job.json")), "what a resumption would take is gone"
    click(qtbot, result.back)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "old" and not dock.state.deciding)
    assert dock.panel.model_box.path == model_file and heard.paths[-1] == model_file and kept.exists()
    click(qtbot, result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding)
    assert dock.state.outcome.kept == kept and heard.paths[-1] == kept, (
        "the same version again, not a second one"
    )
    edits.undo()
    assert not np.array_equal(edits.data, painted), "Ctrl+Z still takes the last stroke back"


class Listener:
    """Stands for a Segment widget."""

    def __init__(self, viewer: Any) -> None:
        self.paths: list[Path] = []
        hub_of(viewer).model_chosen.connect(self.take)

    def take(self, path: Path) -> None:
        self.paths.append(path)


def test_segment_takes_the_kept_model(
    widget: Any, dock: Any, segment: Any, viewer: Any, image: Any, qtbot: Any
) -> None:
    segment()
    first, used = roles.find_layer(viewer, image, "phases").data.copy(), widget.panel.model_box.path
    edits = paint_bands(viewer, image, dock.panel.scheme())
    open_part(viewer, "Fine-tune")
    run(dock, qtbot)
    with qtbot.waitSignal(widget.runner.ended, timeout=60_000):
        click(qtbot, dock.panel.result.keep)
    assert widget.panel.model_box.path == dock.state.outcome.kept
    assert not np.array_equal(roles.find_layer(viewer, image, "phases").data, first)
    with qtbot.waitSignal(widget.runner.ended, timeout=60_000):
        click(qtbot, dock.panel.result.back)
    assert widget.panel.model_box.path == dock.panel.model_box.path == hub_of(viewer).model == used
    assert "'tiny-plm' is in use again, in Segment too" in dock.panel.status.text()
    free = edits.data == 0
    np.testing.assert_array_equal(roles.find_layer(viewer, image, "phases").data[free], first[free])


def test_preview_and_pause_and_stop(shown: None, dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    edits = paint_bands(viewer, image, dock.panel.scheme())
    dock.panel.form.amount.setValue(2000)
    dock.panel.form.form.controls["patience"].setValue(0)
    viewer.layers.selection.active = edits
    start(dock, qtbot)
    qtbot.waitUntil(lambda: "steel preview" in viewer.layers, timeout=60_000)
    assert viewer.layers.selection.active is edits, "the brush stays"
    preview = viewer.layers["steel preview"]
    top, bottom, left, right = preview.metadata[roles.KEY]["place"]
    seen = preview.data[top:bottom, left:right]
    assert bottom - top > 64 and set(np.unique(seen)) <= {1, 2, 3} and not preview.editable
    click(qtbot, dock.panel.pause_button)
    assert dock.panel.pause_button.text() == "Go on"
    qtbot.waitUntil(lambda: dock.panel.progress.format().startswith("Paused"), timeout=30_000)
    points = len(dock.panel.curves.points["Loss"].get("", ()))
    qtbot.wait(800)
    assert len(dock.panel.curves.points["Loss"].get("", ())) == points
    click(qtbot, dock.panel.pause_button)
    qtbot.waitUntil(lambda: len(dock.panel.curves.points["Loss"].get("", ())) > points, timeout=60_000)
    click(qtbot, dock.panel.stop_button)
    finish(dock, qtbot)
    assert dock.state.outcome.result.ended == "stopped" and "Stopped" in dock.panel.result.verdict.text()
    assert "steel preview" not in viewer.layers


def test_redraws_keep_their_pace(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    from phaseguide.training.events import EpochDone

    curves = dock.panel.curves
    before = curves.redraws
    for epoch in range(100):
        curves.add(
            EpochDone("fast", epoch, 100, 1.0, None, 0.5, None, 0.1, False, 0.1, 1.0, {"a.gamma": 1.0})
        )
    assert curves.redraws == before, "a point alone draws nothing"
    qtbot.waitUntil(lambda: curves.redraws > before)
    assert curves.redraws == before + 1 and not curves._timer.isActive(), "all of them are drawn at once"
    curves.add(EpochDone("fast", 100, 101, 1.0, None, 0.5, None, 0.1, False, 0.1, 1.0, {"a.gamma": 1.0}))
    qtbot.waitUntil(lambda: curves.redraws == before + 2)


def test_compare_uncovers_and_cleans_up(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    paint_bands(viewer, image, dock.panel.scheme())
    run(dock, qtbot)
    click(qtbot, dock.panel.result.compare)
    slider = dock.results.slider
    qtbot.waitUntil(lambda: slider.maps is not None, timeout=30_000)
    before, after = viewer.layers["steel before"], viewer.layers["steel after"]
    slider.slider.setValue(250)  # of 1000, on 256 px
    assert before.data[:, :63].all() and not before.data[:, 63:].any(), "and a gap where the line is"
    assert after.data[:, 65:].all() and not after.data[:, :65].any()
    slider.how.setCurrentIndex(1)
    slider.slider.setValue(1000)
    assert before.opacity == 0 and after.opacity > 0.5 and after.data.all()
    click(qtbot, slider.close_button)
    assert "steel before" not in viewer.layers and "steel after" not in viewer.layers
    click(qtbot, dock.panel.result.compare)
    qtbot.waitUntil(lambda: slider.maps is not None, timeout=30_000)
    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: slider.maps is None)
    assert "steel before" not in viewer.layers


def test_layer_renamed_and_removed_while_learning(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    edits = paint_bands(viewer, image, dock.panel.scheme())
    dock.panel.form.amount.setValue(5)
    start(dock, qtbot)
    image.name = "renamed"
    image.data = np.zeros_like(image.data)
    qtbot.waitUntil(lambda: "'renamed' were replaced" in dock.panel.status.text())
    viewer.layers.remove(edits)
    viewer.layers.remove(image)
    assert "'renamed' was removed" in dock.panel.status.text()
    finish(dock, qtbot)
    assert dock.state.outcome is not None and dock.panel.result.keep.isEnabled()
    click(qtbot, dock.panel.result.compare)
    assert "no image" in dock.panel.status.text()
    click(qtbot, dock.panel.result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new")


def test_second_training_is_refused(
    dock: Any, viewer: Any, image: Any, model_file: Path, qtbot: Any, told: list[str]
) -> None:
    paint_bands(viewer, image, dock.panel.scheme())
    ready(dock, qtbot)
    with finetune._learning:  # as a run in another window of this napari
        click(qtbot, dock.panel.start_button)
        finish(dock, qtbot)
    assert "learning already" in dock.panel.status.text() and told
    assert dock.panel.start_button.isEnabled()
    run(dock, qtbot)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (TrainingError("Memory does not suffice even for 1 crops of 64 px."), "Memory does not suffice"),
        (RuntimeError("CUDA error: device lost"), "Something went wrong"),
    ],
)
def test_an_error_leaves_a_state_that_goes_on(
    raised: Exception,
    words: str,
    dock: Any,
    viewer: Any,
    image: Any,
    qtbot: Any,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import phaseguide.finetuning.run as engine

    paint_bands(viewer, image, dock.panel.scheme())
    ready(dock, qtbot)

    def fails(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from ()
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(engine, "finetune", fails)
        click(qtbot, dock.panel.start_button)
        finish(dock, qtbot)
    assert words in dock.panel.status.text() and words in told[-1]
    assert not dock.panel.stop_button.isEnabled() and dock.state.outcome is None
    run(dock, qtbot)


def test_closed_while_learning_and_resumed_in_a_new_viewer(
    dock: Any, viewer: Any, image: Any, model_file: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import phaseguide.finetuning.run as engine

    monkeypatch.setattr(engine, "SAVE_S", 0.0)
    edits = paint_bands(viewer, image, dock.panel.scheme())
    dock.panel.form.amount.setValue(60)
    dock.panel.form.form.controls["patience"].setValue(0)
    start(dock, qtbot)
    qtbot.waitUntil(lambda: len(dock.panel.curves.points["Loss"].get("", ())) > 1, timeout=60_000)
    close_workbench(viewer)
    qtbot.waitUntil(lambda: not finetune._learning.locked(), timeout=60_000)
    viewer.layers.remove(edits)
    viewer.layers.remove(image)  # nothing of the session is left
    second = open_dock(viewer, model_file)
    qtbot.waitUntil(lambda: bool(second.state.unfinished), timeout=60_000)
    reached = second.state.unfinished[0].epoch
    assert 1 < reached < 60 and "Interrupted" in second.panel.resume_line.text()
    click(qtbot, second.panel.resume_button)
    qtbot.waitUntil(lambda: bool(second.panel.curves.points["Loss"].get("")), timeout=60_000)
    assert second.panel.curves.points["Loss"][""][0][0] == reached + 1
    click(qtbot, second.panel.stop_button)
    finish(second, qtbot)
    assert second.state.outcome is not None, second.panel.status.text()
    assert len(second.state.outcome.result.history) > reached
    click(qtbot, second.panel.result.back)
    qtbot.waitUntil(lambda: second.state.outcome.used == "old")
    qtbot.waitUntil(lambda: not list(runs_folder(None).glob("*/job.json")), timeout=60_000)


def test_discard(dock: Any, viewer: Any, image: Any, model_file: Path, qtbot: Any) -> None:
    paint_bands(viewer, image, dock.panel.scheme())
    run(dock, qtbot)
    close_workbench(viewer)  # undecided: the run is still on the disk
    second = open_dock(viewer, model_file)
    qtbot.waitUntil(lambda: bool(second.state.unfinished), timeout=60_000)
    click(qtbot, second.panel.discard_button)
    qtbot.waitUntil(lambda: not second.state.unfinished)
    assert not list(runs_folder(None).glob("*/job.json")) and not second.panel.resume_part.isVisible()


def test_full_disk_is_said_and_the_run_goes_on(
    dock: Any, viewer: Any, image: Any, qtbot: Any, data_dir: Path
) -> None:
    (data_dir / "training").write_text("a file where a folder should be", encoding="utf-8")
    paint_bands(viewer, image, dock.panel.scheme())
    run(dock, qtbot)
    assert "could not be resumed" in dock.panel.warnings.text.toPlainText()
    assert "See Warnings (1)" in dock.panel.status.text()


def test_a_new_model_with_its_own_phases(
    dock: Any, viewer: Any, image: Any, qtbot: Any, model_file: Path
) -> None:
    panel = dock.panel
    panel.goal.setCurrentIndex(1)
    assert panel.phases_fold.isExpanded() and panel.scheme() is None
    for name in ("matrix", "islands"):
        click(qtbot, panel.phases.add_button)
        panel.phases.names[-1].setText(name)
        panel.phases.names[-1].editingFinished.emit()
    assert panel.scheme().names == ("matrix", "islands")
    click(qtbot, panel.sources.paint_button)
    edits = roles.find_layer(viewer, image, "edits")
    assert edits.mode == "paint" and viewer.layers.selection.active is edits
    for label, column in ((1, 20), (2, 200)):
        rows, columns = (part.ravel() for part in np.mgrid[10:180, column : column + 12])
        edits.data_setitem((rows, columns), np.full(len(rows), label, dtype=np.uint8))
    run(dock, qtbot)
    card = dock.state.outcome.result.model.card
    assert card.scheme.names == ("matrix", "islands") and card.name == "my-steel"


def test_phases_change_and_strokes_follow(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    panel, scheme = dock.panel, dock.panel.scheme()
    edits = paint_bands(viewer, image, scheme)
    painted = edits.data.copy()
    panel.phases_fold.expand()
    panel.phases.merge(1, 0)  # as the menu does
    assert panel.scheme().names == (NAMES[0], NAMES[2])
    assert np.array_equal(edits.data, np.array([0, 1, 1, 2], dtype=np.uint8)[painted])
    click(qtbot, panel.phases.undo_button)
    assert np.array_equal(edits.data, painted) and panel.scheme() == scheme
    click(qtbot, panel.phases.add_button)
    panel.phases.recolour(0, "#123456")
    assert len(edits.colormap.color_dict) > len(scheme) + 2
    panel.phases.merge(1, 0)
    run(dock, qtbot)
    card = dock.state.outcome.result.model.card
    assert card.scheme.names == panel.scheme().names and card.scheme.phases[0].colour == "#123456"


def test_strokes_for_another_models_phases_are_refused(
    dock: Any, viewer: Any, image: Any, qtbot: Any
) -> None:
    paint_bands(viewer, image, PhaseScheme.from_names(["a", "b", "c"]))
    dock.setup.look()
    line = line_of(dock, image)
    qtbot.waitUntil(lambda: "was painted for" in line.problem.text(), timeout=30_000)
    assert not dock.panel.start_button.isEnabled()
    line.use.click()
    dock.setup.look()
    qtbot.waitUntil(lambda: not line.problem.text(), timeout=30_000)


def test_edits_of_another_shape_are_refused(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    edits = roles.ensure_edits_layer(viewer, image, dock.panel.scheme())
    edits.data = np.ones((5, 6), dtype=np.uint8)
    line = line_of(dock, image)
    line.use.click()
    dock.setup.look()
    qtbot.waitUntil(lambda: "5 x 6 px" in line.problem.text(), timeout=30_000)
    assert not dock.panel.start_button.isEnabled()


def test_a_stack_teaches_by_its_painted_planes(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    viewer.layers.remove(image)
    stack = viewer.add_image(np.stack([banded(k) for k in range(3)]), name="stack")
    edits = roles.ensure_edits_layer(viewer, stack, dock.panel.scheme())
    for plane in (0, 2):
        edits.data[plane, 20:180:20] = band_labels()[20:180:20]
    edits.refresh()
    viewer.dims.set_current_step(0, 2)
    dock.panel.form.amount.setValue(1)
    run(dock, qtbot)
    assert [s["name"] for s in dock.state.outcome.result.record["sources"]] == [
        "stack, plane 0",
        "stack, plane 2",
    ]
    click(qtbot, dock.panel.result.compare)
    qtbot.waitUntil(lambda: dock.results.slider.maps is not None, timeout=30_000)
    assert viewer.layers["stack after"].data[2].any() and not viewer.layers["stack after"].data[:2].any()


def test_sources_mix(dock: Any, viewer: Any, image: Any, qtbot: Any, tmp_path: Path) -> None:
    paint_bands(viewer, image, dock.panel.scheme())
    other = viewer.add_image(banded(1), name="labelled elsewhere")
    full = viewer.add_labels(band_labels(), name="truth")
    told = viewer.add_image(banded(2), name="known ratio")
    line = line_of(dock, other)
    line.labels.setCurrentIndex(line.labels.findData("truth"))
    line.use.click()
    ratio = line_of(dock, told)
    click(qtbot, ratio.ratio_button)
    for box, share in zip(ratio.ratio.boxes, (0.3, 0.3), strict=False):
        box.share = share
    dock.panel.sources.add_folder(tiny_dataset(tmp_path / "pairs"))
    ready(dock, qtbot)
    rows = {spec.title: dock.state.found.rows[spec.key] for spec in dock.panel.sources.specs()}
    assert rows["labelled elsewhere"].shares == pytest.approx([86 / 256, 86 / 256, 84 / 256])
    assert rows["known ratio"].labelled == 0 and not rows["known ratio"].problem
    assert rows["pairs/"].images == 2 and "2 images" in dock.panel.sources.lines[
        "folder", str((tmp_path / "pairs").resolve())
    ].shares.text()  # fmt: skip
    line.validates.click()
    run(dock, qtbot)
    kinds = {s["name"]: s["kind"] for s in dock.state.outcome.result.record["sources"]}
    assert kinds == {
        "steel": "edits", "labelled elsewhere": "full", "known ratio": "ratio",
        "pairs/field0": "full", "pairs/field1": "full",
    }  # fmt: skip
    assert dock.state.outcome.result.record["config"]["validation_fields"] == ["labelled elsewhere"]
    assert "labelled elsewhere" in dock.panel.result.where.text()
    full.data[0, 0] = 9
    full.refresh()
    dock.setup.look()
    qtbot.waitUntil(lambda: "label 9" in line.problem.text(), timeout=30_000)


def test_a_model_that_got_worse_says_so(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    from dataclasses import replace

    from phaseguide.finetuning.judging.verdict import verdict

    paint_bands(viewer, image, dock.panel.scheme())
    run(dock, qtbot)
    result = dock.state.outcome.result
    was, now = (tuple(replace(s, dice=dice) for s in result.after.phases) for dice in (0.8, 0.7))
    turned = replace(
        result,
        before=replace(result.after, dice_mean=0.8, phases=was),
        after=replace(result.after, dice_mean=0.7, phases=now),
        better=False,
    )
    text, alarm = verdict(turned)
    assert alarm and "worse: mean Dice 80.0 % → 70.0 %" in text
    dock.panel.result.show_result(turned)
    assert "worse" in dock.panel.result.verdict.text() and "color" in dock.panel.result.verdict.styleSheet()
    some = tuple(replace(s, pixels=400) for s in result.after.phases)
    thin = replace(result.after, phases=(replace(some[0], pixels=12), *some[1:]), pixels=812, places=12)
    told = verdict(replace(result, after=thin))[0]
    assert (
        f"Little is behind the numbers of {some[0].phase} (12 px)." in told
        and f"{some[1].phase} (4" not in told
    )
    bare = replace(result.after, phases=(replace(some[0], pixels=0), *some[1:]), pixels=800)
    assert f"Nothing could judge {some[0].phase}:" in verdict(replace(result, after=bare))[0]
    unjudged = verdict(replace(result, before=None, after=None, better=None))
    assert unjudged[0].startswith("Nothing could judge it") and not unjudged[1]


def test_where_to_paint_next(dock: Any, viewer: Any, image: Any, qtbot: Any) -> None:
    edits = paint_bands(viewer, image, dock.panel.scheme(), rows=(20,))
    viewer.layers.selection.active = edits
    click(qtbot, dock.places.find_button)
    qtbot.waitUntil(lambda: bool(dock.places.places), timeout=60_000)
    frames = viewer.layers["steel paint next"]
    assert frames.nshapes == len(dock.places.places) and viewer.layers.selection.active is edits
    first = dock.places.places[0]
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((first.row, first.column))
    click(qtbot, dock.places.next_button)
    second = dock.places.places[1]
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((second.row, second.column))
    assert "Place 2 of" in dock.places.answer.text()
    viewer.layers.remove(image)
    click(qtbot, dock.places.next_button)
    assert "removed" in dock.places.answer.text() and "steel paint next" not in viewer.layers


def test_minutes_and_presets(dock: Any) -> None:
    form = dock.panel.form
    form.preset.setCurrentIndex(form.preset.findData("as published"))
    config = form.value()
    assert (config.optimiser, config.batch, config.epochs) == ("adam", 8, 40)
    assert (config.learning_rate, config.ratio_weight, config.guidance_start) == (1e-5, 0.3, 0.5)
    form.unit.setCurrentIndex(1)
    form.amount.setValue(7)
    assert form.value().minutes == 7
    form.value()
    form.preset.setCurrentIndex(0)
    assert form.preset.currentText() == "fast" and form.value() == PRESETS["fast"]


def test_the_gui_thread_never_trains(
    dock: Any, viewer: Any, image: Any, qtbot: Any, monkeypatch: Any
) -> None:
    import phaseguide.finetuning.run as engine

    threads: set[int] = set()
    plain = engine.finetune

    def watched(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for event in plain(*args, **kwargs):
            threads.add(threading.get_ident())
            yield event

    monkeypatch.setattr(engine, "finetune", watched)
    paint_bands(viewer, image, dock.panel.scheme())
    run(dock, qtbot)
    assert threads and threading.get_ident() not in threads
