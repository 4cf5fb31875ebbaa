"""What comes after a run: keep the new model, go back, compare the two on the image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import TrainingError
from phaseguide.files.foreign import resolved
from phaseguide.jobs.finetune import predict
from phaseguide.jobs.keep_model import Outcome, go_back, keep_model
from phaseguide.widgets.finetune.compare_slider import CompareSlider, Maps
from phaseguide.widgets.finetune.preview import FieldOnShow
from phaseguide.widgets.finetune.state import DockPart, Shared, image_in_work
from phaseguide.widgets.layers import maps as finetune_layers
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.qt.dock import later, while_heard
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.layers import Image


class FinetuneOutcome(DockPart):
    """Serves the result box; ``decided`` when another model is in use, or the one in use is a version now."""

    decided = Signal()

    def __init__(self, owner: QObject, shared: Shared) -> None:
        super().__init__(owner, shared)
        panel = shared.panel
        self._box = panel.result
        self._box.keep_wanted.connect(self.keep)
        self._box.back_wanted.connect(self.go_back)
        self._box.compare_wanted.connect(self.compare)

    @property
    def slider(self) -> CompareSlider:
        """The before / after slider."""
        return self._box.slider

    def forget(self) -> None:
        """Make room for the next run."""
        self.slider.end()
        self._box.hide()
        self._state.outcome = None

    def show(self, outcome: Outcome) -> None:
        """Show the end of a run."""
        self._state.outcome = outcome
        self._box.show_result(outcome.result)
        self._panel.reveal(self._box)

    def show_state(self) -> None:
        """Enable what can be done now."""
        state = self._state
        used = "" if state.outcome is None else state.outcome.used
        self._box.show_state(
            kept=used == "new", went_back=used == "old", busy=state.deciding or state.running
        )

    def keep(self) -> None:
        """Save the new model as a version, and use it."""
        outcome = self._state.outcome
        if outcome is not None and not self._state.deciding:
            self._messages.say("Saving …")
            if outcome.used != "new":
                outcome.segmented_with = hub_of(self._viewer).model
            self._decide(lambda: keep_model(outcome), self._on_kept)

    def go_back(self) -> None:
        """Use the model from before."""
        outcome = self._state.outcome
        if outcome is not None and not self._state.deciding:
            self._decide(lambda: go_back(outcome), self._on_back)

    def compare(self) -> None:
        """Predict the field on show with both models, and show the slider."""
        outcome, field, viewer = self._state.outcome, FieldOnShow(), self._viewer
        if outcome is None or self._state.deciding:
            return
        self.slider.end()
        spot = field.point_at(viewer, image_in_work(viewer))
        if spot is None:
            self._messages.fail(TrainingError("There is no image to compare on. Open one."))
            return
        self._set_busy(True)
        self._messages.say("Comparing …")
        old, new = outcome.start, outcome.result.model
        field.channels = old.segmenter.in_channels

        def both() -> Maps:
            pixels = field.read(spot)
            before, after = predict(old, pixels), predict(new, pixels)
            return Maps(spot.image, spot.index, spot.window, before, after, old.card.scheme, new.card.scheme)

        in_background(self, both, self._on_compared, self._on_failed)

    def image_removed(self, image: Image) -> None:
        """End the comparison on an image that goes."""
        if self.slider.maps is not None and image is self.slider.maps.image:
            later(self, self.slider.end)  # the viewer is still busy with removing it

    def _decide(self, function: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do what was decided in a thread; in that of the project, if one is open, which alone writes there."""
        self._set_busy(True)
        opened, outcome = self._opened, self._state.outcome
        assert outcome is not None
        if outcome.job.project is not None and outcome.job.project is opened.project:
            opened.worker.do(function, while_heard(self, done), while_heard(self, self._on_failed))
        else:
            in_background(self, function, done, self._on_failed)

    def _on_kept(self, path: Path) -> None:
        outcome = self._state.outcome
        assert outcome is not None
        self.slider.end()
        self._set_busy(False)
        tell(hub_of(self._viewer).model_chosen, path)
        place = f"version {outcome.version}" if outcome.version else repr(path.stem)
        self._messages.say(f"Kept as {place}, and in use in Segment. Go back takes that back.")
        self._panel.goal.setCurrentIndex(0)
        self._panel.model_box.open_file(path)
        self.decided.emit()

    def _on_back(self, path: Path | None) -> None:
        outcome = self._state.outcome
        assert outcome is not None
        self.slider.end()
        self._set_busy(False)
        hub = hub_of(self._viewer)
        if outcome.kept is None:
            now = hub.model or path
            stays = "Nothing changes." if now is None else f"{now.stem!r} stays in use."
            self._messages.say(f"{stays} The new one can still be kept until you start another run or close.")
        elif path is None:
            self._messages.say(
                "No model was in use before, so the new one stays in use. Choose another one in the step Image."
            )
        else:
            heard = tell(hub.model_chosen, path)
            self._panel.model_box.open_file(path)
            if heard and hub.model is not None and resolved(hub.model) != resolved(path):
                told = (
                    f"Segment could not take {path.stem!r} and still uses {hub.model.stem!r}. Choose it in the step "
                    "Image."
                )
                self._messages.say(told, alarm=True)
            else:
                where = ", in Segment too" if heard else ""
                told = f"{path.stem!r} is in use again{where}. The new one stays among your models."
                self._messages.say(told)
        self.decided.emit()

    def _on_compared(self, maps: Maps) -> None:
        self._set_busy(False)
        image, viewer = maps.image, self._viewer
        there = finetune_layers.is_there(viewer, image)
        if not there or any(
            part.stop > size for part, size in zip(maps.window, planes.data_shape(image)[-2:], strict=True)
        ):
            self._messages.fail(
                TrainingError(f"{image.name!r} was changed or removed meanwhile. Compare again.")
            )
            return
        self._messages.say("Drag the slider: before on the left, after on the right.")
        self.slider.begin(maps)
        self._panel.reveal(self.slider)

    def _on_failed(self, error: BaseException) -> None:
        self._set_busy(False)
        self._messages.fail(error)

    def _set_busy(self, busy: bool) -> None:
        self._state.deciding = busy
