"""A model that looks twice: its first look is on show until the result is there, and gone when that never comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.models.card import InferenceCard, ViewCard
from phaseguide.models.model_file import load_model, save_model
from phaseguide.segmentation.request import FirstLook
from phaseguide.segmentation.session import Session
from phaseguide.widgets.layers import roles
from widget_helpers import micrograph


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Path:
    """The tiny model, with a second view where it is unsure."""
    model = load_model(model_file)
    how = InferenceCard(views=[ViewCard(), ViewCard(zoom=1.5, flip="xy")], unsure_below=0.99, fold_norms=True)
    path = tmp_path_factory.mktemp("twice") / model_file.name
    save_model(path, model.segmenter, model.card.model_copy(update={"inference": how}))
    return path


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


class Watched:
    """Sessions that wait after their first look until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[np.ndarray] = []
        self.may_go_on = threading.Event()
        whole = Session.segment

        def segment(session: Any, request: Any, focus: Any = None) -> Iterator[Any]:
            for event in whole(session, request, focus):
                if isinstance(event, FirstLook):
                    self.looks.append(event.labels)  # before the window can show it
                yield event
                if isinstance(event, FirstLook):
                    self.may_go_on.wait(60)

        monkeypatch.setattr(Session, "segment", segment)


@pytest.fixture
def watched(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(monkeypatch)
    yield watched
    watched.may_go_on.set()


def phases(viewer: Any, image: Any) -> np.ndarray | None:
    layer = roles.find_layer(viewer, image, "phases")
    return None if layer is None else np.array(layer.data)


def test_the_first_look_is_shown_and_then_the_result(
    widget: Any, viewer: Any, watched: Watched, qtbot: Any
) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    widget.segment()
    qtbot.waitUntil(lambda: phases(viewer, image) is not None)
    np.testing.assert_array_equal(phases(viewer, image), watched.looks[0])
    assert "second look" in widget.panel.status.text()
    assert widget.results.shown(image) is None and not widget.panel.results.save.isEnabled()
    watched.may_go_on.set()
    qtbot.waitUntil(lambda: not widget.runner.running)
    done = widget.current(()).labels
    np.testing.assert_array_equal(phases(viewer, image), done)
    assert np.any(done != watched.looks[0]), "the second look has changed something"


@pytest.mark.parametrize("before", [False, True])
def test_stopped_after_the_first_look_everything_is_as_before(
    before: bool, widget: Any, viewer: Any, watched: Watched, qtbot: Any
) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    if before:
        watched.may_go_on.set()
        widget.segment()
        qtbot.waitUntil(lambda: not widget.runner.running)
        watched.may_go_on.clear()
        widget.panel.advanced.controls["invert"].setChecked(True)  # encoded anew
    kept = phases(viewer, image)
    widget.segment()
    looks = 1 + before
    qtbot.waitUntil(
        lambda: len(watched.looks) == looks and np.array_equal(phases(viewer, image), watched.looks[-1])
    )
    assert "second look" in widget.panel.status.text()
    widget.refresh()  # as when the user moves through the planes meanwhile
    np.testing.assert_array_equal(phases(viewer, image), watched.looks[-1])
    widget.stop()
    watched.may_go_on.set()
    qtbot.waitUntil(lambda: not widget.runner.running)
    now = phases(viewer, image)
    assert (now is None) is not before
    if before:
        np.testing.assert_array_equal(now, kept)
    assert "Stopped" in widget.panel.status.text()
