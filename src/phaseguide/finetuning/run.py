"""The fine-tuning generator: a model and sources in, events out, a better model with its card at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phaseguide.control import Control
from phaseguide.errors import TrainingError, is_out_of_memory
from phaseguide.events import Finished, Notice, Progress
from phaseguide.finetuning.config import FinetuneConfig, find_departures
from phaseguide.finetuning.events import Ending, FinetuneResult, Preview, PreviewField, ValidationScores
from phaseguide.finetuning.judging.evidence import is_better
from phaseguide.finetuning.judging.judge import Judge, untrained_phases
from phaseguide.finetuning.learner import Learner, knows_its_phases
from phaseguide.finetuning.material import SMALLEST_CROP, prepare, steps_an_epoch
from phaseguide.finetuning.memory import SAVING, can_checkpoint, needs_checkpointing
from phaseguide.finetuning.new_card import begun_record, environment, finished_model
from phaseguide.finetuning.new_guidance import check_ratios, with_asked_guidance
from phaseguide.finetuning.preview import Previewer
from phaseguide.finetuning.rehearsal import shipped_rehearsal
from phaseguide.finetuning.resuming import load_position, save_position, take_position
from phaseguide.finetuning.score_head import finetune_head
from phaseguide.finetuning.sources import Source, data_sha256, zero_based
from phaseguide.models.card import Card
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel
from phaseguide.segmentation.network.device import choose_device
from phaseguide.training.adapters import use_checkpointing
from phaseguide.training.checkpoint import DamagedCheckpointError, set_aside, sweep
from phaseguide.training.departures import tell_departures
from phaseguide.training.dropout import own_threads
from phaseguide.training.events import EpochDone, read_epoch
from phaseguide.training.stages import read_gauges

FinetuneEvent = Progress | Notice | EpochDone | Preview | Finished[FinetuneResult]

SAVE_S = 5.0
"""Least time between two checkpoints."""

PAUSE_S = 0.1

UNTOLD = (
    "No held-out window is labelled all over, so none has a ratio: the model is judged without one. To judge it with "
    "the ratio, let a field that is labelled all over validate."
)

KEPT = ("crop", "batch", "stale", "setbacks", "spent", "losses", "first_crop")
"""What a checkpoint keeps of a run as it is."""


def finetune(
    model: LoadedModel,
    sources: Sequence[Source],
    config: FinetuneConfig,
    *,
    name: str = "model",
    rehearsal: Sequence[Source] | None = None,
    checkpoint: Path | None = None,
    control: Control | None = None,
    preview: Callable[[], PreviewField | None] | None = None,
) -> Iterator[FinetuneEvent]:
    """Let a model, which is not changed, learn from what the user painted.

    ``rehearsal`` are labelled images that the model has learnt from; None takes those that ship with it, if any.

    The ``checkpoint`` is written between epochs. If the file is there, the run goes on from it, and ends with the same
    weights as an uninterrupted one (same device and threads, no limit of minutes). One that is damaged is kept under
    another name, and the run begins anew. The caller removes it when the result is kept or no longer wanted.

    ``preview`` returns what the user is looking at, or None; it is called in this thread. `TrainingError` for sources
    that cannot work, a checkpoint of another run, too little memory for the smallest crops.
    """
    # The order of crops decides what is drawn: it must not depend on who lists the sources.
    ordered = sorted(sources, key=lambda source: source.name)
    known = shipped_rehearsal(model.card) if rehearsal is None else rehearsal
    control = control or Control()
    with own_threads(config.used_threads()):
        if config.parts == "score head":
            return (yield from finetune_head(model, ordered, known, config, name, control))
        run = _Run(model, ordered, config, name, known, checkpoint, control, preview)
        yield from run.events()


class _Run:
    """State of one run; `events` is the generator."""

    def __init__(
        self,
        start: LoadedModel,
        sources: Sequence[Source],
        config: FinetuneConfig,
        name: str,
        rehearsal: Sequence[Source],
        checkpoint: Path | None,
        control: Control,
        preview: Callable[[], PreviewField | None] | None,
    ) -> None:
        self.start, self.sources, self.config, self.name = start, sources, config, name
        self.begun, self.teaching, self.exchanged = with_asked_guidance(start, config)
        self.checkpoint, self.control = checkpoint, control
        self.device = choose_device(config.device).torch_device
        self.rehearsal = rehearsal
        self.preview = Previewer(preview, config.preview_seconds, self.device)
        self.batch, self.crop, self.first_crop = config.batch, config.crop, 0
        self.history: list[EpochDone] = []
        self.losses: list[float] = []
        self.best_value = -np.inf
        self.stale = self.setbacks = 0
        self.checkpointing = False
        self.spent, self.saved, self.epoch_began = 0.0, time.monotonic(), time.perf_counter()
        self.before: ValidationScores | None = None
        self.after: ValidationScores | None = None
        self.ended: Ending = "done"

    def events(self) -> Iterator[FinetuneEvent]:
        yield Progress("Preparing crops", 0, 1)
        self._set_up()
        if hint := zero_based(self.sources, self.start.card.scheme):
            yield Notice(hint)
        if self.exchanged:
            yield Notice(self.exchanged)
        if departures := find_departures(self.config):
            yield Notice(tell_departures(departures))
        untold = self.told_ratio == "none" != self.config.validation_ratio and self.prepared.judged
        if untold and self.begun.segmenter.takes_ratio:
            yield Notice(UNTOLD)
        if not self.checkpointing and needs_checkpointing(self.learner, self.batch, self.crop):
            self._use_checkpointing()
            yield Notice(SAVING)
        if self.checkpoint is not None:
            sweep(self.checkpoint)
            if self.checkpoint.exists():
                yield Notice(self._resume(self.checkpoint))
        yield Progress("Judging the model as it is", 0, 1)
        self.before = self.judge.before(self.start.segmenter.to(self.device))
        self.start.segmenter.to("cpu")
        while len(self.history) < self.config.epochs and not self._over():
            done = yield from self._epoch()
            if done is None:
                break
            self.history.append(done)
            self._save(last=False)
            yield done
        yield Progress("Judging the new model", 0, 1)
        self.after = self.judge.after()
        self._save(last=True)
        yield Finished(self._result())

    # -- setting up -------------------------------------------------------------------------------

    def _set_up(self) -> None:
        prepared = prepare(self.start, self.sources, self.rehearsal, self.config, self.crop)
        segmenter, phases = self.begun.segmenter, len(self.start.card.scheme)
        if self.exchanged:
            check_ratios(prepared, segmenter)
        known = any(not bool(torch.isnan(crop.ratio(phases)).any()) for crop in prepared.judged)
        self.told_ratio = self.config.validation_ratio if known and segmenter.takes_ratio else "none"
        self.prepared, self.crop = prepared, prepared.crop
        self.first_crop = max(self.first_crop, prepared.crop)
        self.steps = steps_an_epoch(prepared.material, self.config)
        anchored = knows_its_phases(self.start.card)
        self.learner = Learner(segmenter, prepared.material, self.teaching, self.device, anchored=anchored)
        names = self.start.card.scheme.names
        self.judge = Judge(prepared, self.learner, names, self.told_ratio, untrained_phases(self.start))
        if self.checkpointing:
            self._use_checkpointing()

    def _use_checkpointing(self) -> None:
        """Save memory from now on, also after crops were made smaller."""
        self.checkpointing = True
        use_checkpointing(self.learner.model)
        self.judge.use_checkpointing()

    def _identity(self) -> dict[str, Any]:
        base = self.start.segmenter.backbone.options.adapter.get("base", "")
        return {
            "config": self.config.to_dict(),
            "model": tensors_sha256(self.start.segmenter.state_dict()) + (f" on {base}" if base else ""),
            "data": data_sha256([*self.sources, *self.rehearsal]),
        }

    def _resume(self, path: Path) -> str:
        """Take up what a checkpoint holds, and say so, or why the run begins anew."""
        try:
            state = load_position(path, self._identity())
        except DamagedCheckpointError as error:
            return f"{error} It is kept as {set_aside(path).name}; learning begins anew."
        if state["crop"] != self.crop:
            self.crop = int(state["crop"])
            self._set_up()
        take_position(path, self._identity(), self.learner, self.judge)
        for name in KEPT:
            setattr(self, name, state[name])
        self.best_value = -np.inf if state["best"] is None else state["best"]
        self.history = [read_epoch(h) for h in state["history"]]
        return f"Going on after epoch {len(self.history)} of {self.config.epochs}."

    def _save(self, *, last: bool) -> None:
        if self.checkpoint is None or (not last and time.monotonic() - self.saved < SAVE_S):
            return
        state = {
            **self._identity(),
            "name": self.name,
            "start": self.start.card.name,
            "best": None if np.isinf(self.best_value) else self.best_value,
            "history": self.history,
            **{name: getattr(self, name) for name in KEPT},
        }
        save_position(self.checkpoint, self.learner, self.judge, state)
        self.saved = time.monotonic()

    # -- an epoch ---------------------------------------------------------------------------------

    def _epoch(self) -> Generator[FinetuneEvent, None, EpochDone | None]:
        """Learn for an epoch and return what came of it; None where the run ended within it."""
        self.epoch_began = started = time.perf_counter()
        number, total = len(self.history) * self.steps, self.steps * self.config.epochs
        while len(self.losses) < self.steps:
            yield from self._wait()
            if self._over():
                break
            loss = yield from self._step(number + len(self.losses))
            if not np.isfinite(loss):
                yield self._back_off()
                if self.setbacks > 1:
                    break
                continue
            self.losses.append(loss)
            text = f"Learning (epoch {len(self.history) + 1} of {self.config.epochs})"
            yield Progress(text, number + len(self.losses), total)
            yield from self.preview.look(
                self.learner.average, len(self.history), frozen=self.config.parts == "fast"
            )
        seconds = time.perf_counter() - started
        self.spent += seconds
        self.epoch_began = time.perf_counter()
        losses, self.losses = self.losses, []
        return self._done(float(np.mean(losses)), seconds) if losses else None

    def _step(self, number: int) -> Generator[FinetuneEvent, None, float]:
        while True:
            try:
                loss = self.learner.step(number, self.batch, self._share(number))
                sound = np.isfinite(loss) and self.judge.step(number, self.batch, self._share(number))
                return loss if sound else np.nan
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                yield Notice(self._make_room())

    def _share(self, number: int) -> float:
        """Share of the run that is over, by steps or by the clock."""
        by_steps = number / (self.steps * self.config.epochs)
        limit = self.config.minutes * 60
        return max(by_steps, self._clock() / limit) if limit else by_steps

    def _clock(self) -> float:
        """Seconds of learning so far."""
        return self.spent + (time.perf_counter() - self.epoch_began)

    def _make_room(self) -> str:
        """Let go of kept features of images, take smaller batches, then smaller crops, and say so."""
        from phaseguide.segmentation.network.embeddings import MEMORY

        MEMORY.clear()  # on a GPU they may hold what a step needs
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if not self.checkpointing and can_checkpoint(self.learner):
            self._use_checkpointing()
            return f"Memory ran out. {SAVING}"
        if self.batch == self.config.batch and self.batch > 1:
            self.batch //= 2
            return f"Memory ran out. Going on with {self.batch} crops a step instead of {self.config.batch}."
        if self.crop // 2 < SMALLEST_CROP or self.crop < self.first_crop:
            raise TrainingError(
                f"Memory does not suffice even for {self.batch} crops of {self.crop} px. Close other programs, "
                "learn the fast way, or choose --device cpu."
            )
        self.crop = self.crop // 2 // 32 * 32
        self.prepared = prepare(self.start, self.sources, self.rehearsal, self.config, self.crop)
        self.learner.take(self.prepared.material)
        self.judge.take(self.prepared)
        return f"Memory ran out again. Going on with crops of {self.crop} px."

    def _back_off(self) -> Notice:
        """Leave numbers that are none: return to the best model with a tenth of the rate, once."""
        self.setbacks += 1
        self.learner.go_back()
        self.judge.go_back()
        if self.setbacks > 1:
            self.ended = "unstable"
            return Notice(
                "The loss left the numbers again, so learning ended with the best model so far. Lower the "
                f"learning rate (now {self.config.learning_rate:g}), or check the images for wild values."
            )
        return Notice(
            "The loss left the numbers. Going on from the best model so far at a tenth of the rate."
        )

    def _wait(self) -> Iterator[FinetuneEvent]:
        """Stay here while paused; the state is safe meanwhile, in the middle of an epoch too."""
        if self.control.paused:
            self._save(last=True)
            waiting = time.perf_counter()
            while not self.control.wait(PAUSE_S):
                yield Progress("Paused", len(self.history) * self.steps, self.steps * self.config.epochs)
            self.epoch_began += time.perf_counter() - waiting

    def _over(self) -> bool:
        limit = self.config.minutes * 60
        if self.control.stopping:
            self.ended = "stopped"
        elif limit and self._clock() >= limit:
            self.ended = "time"
        elif self.config.patience and self.stale >= self.config.patience:
            self.ended = "early"
        return self.ended != "done"

    def _done(self, loss: float, seconds: float) -> EpochDone:
        judged = self.judge.epoch()
        value = -loss if judged is None or judged.dice_mean is None else judged.dice_mean
        best = value > self.best_value
        if best:
            self.best_value, self.stale = value, 0
            self.learner.keep_as_best()
            self.judge.keep_as_best()
        else:
            self.stale += 1
        done = len(self.history) + 1
        ious = [] if judged is None else [s.iou for s in judged.phases if s.iou is not None]
        return EpochDone(
            stage="as published" if self.config.protocol else self.config.parts,
            epoch=done,
            epochs=self.config.epochs,
            loss=loss,
            miou=float(np.mean(ious)) if ious else None,
            dice_mean=None if judged is None else judged.dice_mean,
            accuracy=None,
            fraction_mae=None if judged is None else judged.fraction_mae,
            best=best,
            seconds=seconds,
            seconds_left=self.spent / done * (self.config.epochs - done),
            gauges=read_gauges(self.learner.model.guidance),
            judged=0 if judged is None else judged.pixels,
            dice_range=None if judged is None else judged.dice_range,
        )

    def _result(self) -> FinetuneResult:
        better = is_better(self.before, self.after)
        record = self._record()
        model = finished_model(self.learner.best, self.name, self._parent(), self.sources, record, self.after)
        history = tuple(self.history)
        changed, data = self.judge.changed(), record["data_sha256"]
        return FinetuneResult(
            model, self.before, self.after, history, self.ended, better, record, data, changed
        )

    def _parent(self) -> Card:
        """The card of the model that was started from, with the guidance of the new one and how that is run."""
        card = self.begun.card
        if self.told_ratio == "none":
            return card
        return card.model_copy(
            update={"inference": card.inference.model_copy(update={"mode": "conditioned"})}
        )

    def _record(self) -> dict[str, Any]:
        """Everything it takes to repeat the run, as JSON values."""
        return {
            **begun_record(
                self.config,
                self.sources,
                self.prepared.rows,
                self.prepared.split,
                len(self.rehearsal),
                self.start.card,
            ),
            **({"guidance_exchanged": self.exchanged} if self.exchanged else {}),
            "epochs": len(self.history),
            "ended": self.ended,
            "batch": self.batch,
            "crop": self.crop,
            "seconds": round(self.spent, 1),
            **environment(self.device),
            "gauges": [h.gauges for h in self.history if h.gauges],
        }
