"""What comes after a run: keep the new model, go back, compare the two on the image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import TrainingError
from phaseguide.jobs.finetune import predict
from phaseguide.jobs.keep_model import Outcome, go_back, keep_model
from phaseguide.widgets.finetune.compare_slider import Maps
from phaseguide.widgets.finetune.preview import FieldOnShow
from phaseguide.widgets.layers import maps as finetune_layers
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.qt.dock import later, while_heard
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from phaseguide.widgets.finetune.dock import FinetuneWidget


class FinetuneOutcome(QObject):
    """Serves the result box; ``changed`` when something was decided or a decision is under way.

    Parameters
    ----------
    widget : FinetuneWidget
    """

    changed = Signal()

    def __init__(self, widget: FinetuneWidget) -> None:
        super().__init__(widget)
        self._widget, self._box = widget, widget.panel.result
        self.outcome: Outcome | None = None
        self.busy = False
        self._box.keep_wanted.connect(self.keep)
        self._box.back_wanted.connect(self.go_back)
        self._box.compare_wanted.connect(self.compare)

    @property
    def slider(self) -> Any:
        """The before / after slider."""
        return self._box.slider

    def forget(self) -> None:
        """Make room for the next run."""
        self.slider.end()
        self._box.hide()
        self.outcome = None

    def show(self, outcome: Outcome) -> None:
        """Show the end of a run."""
        self.outcome = outcome
        self._box.show_result(outcome.result)
        self._widget.panel.reveal(self._box)

    def show_state(self, running: bool) -> None:
        """Enable what can be done now."""
        used = "" if self.outcome is None else self.outcome.used
        self._box.show_state(kept=used == "new", went_back=used == "old", busy=self.busy or running)

    def keep(self) -> None:
        """Save the new model as a version, and use it."""
        outcome = self.outcome
        if outcome is not None and not self.busy:
            self._widget.say("Saving …")
            self._decide(lambda: keep_model(outcome), self._on_kept)

    def go_back(self) -> None:
        """Use the model from before."""
        outcome = self.outcome
        if outcome is not None and not self.busy:
            self._decide(lambda: go_back(outcome), self._on_back)

    def compare(self) -> None:
        """Predict the field on show with both models, and show the slider."""
        outcome, field, viewer = self.outcome, FieldOnShow(), self._widget.viewer
        if outcome is None or self.busy:
            return
        self.slider.end()
        spot = field.point_at(viewer, self._widget.image)
        if spot is None:
            self._widget.fail(TrainingError("There is no image to compare on. Open one."))
            return
        self._set_busy(True)
        self._widget.say("Comparing …")
        old, new = outcome.start, outcome.result.model
        field.channels = old.segmenter.in_channels

        def both() -> Maps:
            pixels = field.read(spot)
            before, after = predict(old, pixels), predict(new, pixels)
            return Maps(spot.image, spot.index, spot.window, before, after, old.card.scheme, new.card.scheme)

        in_background(self._widget, both, self._on_compared, self._on_failed)

    def image_removed(self, image: Any) -> None:
        """End the comparison on an image that goes."""
        if self.slider.maps is not None and image is self.slider.maps.image:
            later(self, self.slider.end)  # the viewer is still busy with removing it

    def _decide(self, function: Any, done: Any) -> None:
        """Do what was decided in a thread; in that of the project, if one is open, which alone writes there."""
        self._set_busy(True)
        widget, outcome = self._widget, self.outcome
        assert outcome is not None
        if outcome.job.project is not None and outcome.job.project is widget.project:
            widget.opened.worker.do(function, while_heard(self, done), while_heard(self, self._on_failed))
        else:
            in_background(widget, function, done, self._on_failed)

    def _on_kept(self, path: Path) -> None:
        widget, outcome = self._widget, self.outcome
        assert outcome is not None
        self.slider.end()
        self._set_busy(False)
        heard = tell(hub_of(widget.viewer).model_chosen, path)
        place = f"version {outcome.version}" if outcome.version else repr(path.stem)
        tail = " The Segment widget uses it." if heard else " Choose it in the Segment widget."
        widget.say(f"Kept as {place}.{tail} Go back takes that back.")
        widget.panel.goal.setCurrentIndex(0)
        widget.panel.model_box.open_file(path)
        widget.find_unfinished()

    def _on_back(self, path: Path | None) -> None:
        widget, outcome = self._widget, self.outcome
        assert outcome is not None
        self.slider.end()
        self._set_busy(False)
        if path is not None and outcome.kept is not None:
            tell(hub_of(widget.viewer).model_chosen, path)
            widget.panel.model_box.open_file(path)
        tail = (
            "The new one can still be kept until you start another run or close."
            if outcome.kept is None
            else "The new one stays among your models."
        )
        widget.say(f"The model from before is in use. {tail}")
        widget.find_unfinished()

    def _on_compared(self, maps: Maps) -> None:
        self._set_busy(False)
        image, viewer = maps.image, self._widget.viewer
        there = finetune_layers.is_there(viewer, image)
        if not there or any(
            part.stop > size for part, size in zip(maps.window, planes.data_shape(image)[-2:], strict=True)
        ):
            self._widget.fail(
                TrainingError(f"{image.name!r} was changed or removed meanwhile. Compare again.")
            )
            return
        self._widget.say("Drag the slider: before on the left, after on the right.")
        self.slider.begin(maps)
        self._widget.panel.reveal(self.slider)

    def _on_failed(self, error: BaseException) -> None:
        self._set_busy(False)
        self._widget.fail(error)

    def _set_busy(self, busy: bool) -> None:
        self.busy = busy
        self.changed.emit()
