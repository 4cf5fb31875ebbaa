"""The training generator: a data set in, events out, a segmenter with its card at the end."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from phaseguide.errors import PhaseguideError, TrainingError, is_out_of_memory
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.segmentation.network.device import choose_device
from phaseguide.training.adapters import encoded, too_large, use_checkpointing
from phaseguide.training.building import build_model, check_folds_for_refining, tell_dropped
from phaseguide.training.checkpoint import (
    DamagedCheckpointError,
    check_room,
    load_checkpoint,
    restore,
    save_checkpoint,
    set_aside,
    sweep,
)
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, data_sha256
from phaseguide.training.departures import tell_departures
from phaseguide.training.describing import describe_model, describe_run, tell_data
from phaseguide.training.drawing import REDRAWS, can_have_ratio, no_ratio, vary_appearance
from phaseguide.training.dropout import own_draws, own_dropout, own_threads
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.losses import segmentation_loss
from phaseguide.training.planning import plan_for, tell_plan
from phaseguide.training.presets import find_departures
from phaseguide.training.prompting import decode_shown
from phaseguide.training.stages import (
    Stage,
    noisy_ratios,
    plan_stages,
    prepare,
    read_gauges,
    set_modes,
    set_rate,
    update_average,
)  # fmt: skip
from phaseguide.training.validation import Validation, judged_by, measure, validate
from phaseguide.training.windows import feed_for

TrainingEvent = Progress | Notice | EpochDone | Finished[TrainingResult]


def train(
    data: TrainingData,
    config: TrainingConfig,
    *,
    name: str = "model",
    start: GuidedSegmenter | None = None,
    checkpoint: Path | None = None,
) -> Iterator[TrainingEvent]:
    """Train a segmenter; stop it by closing the generator.

    A ``start`` gives its weights, and its architecture replaces the configured one. Where its guidance is not the one
    that is asked for, and with ``schedule="guidance"`` always, only its backbone is taken, and fresh guidance is
    trained on it, which a `Notice` tells.

    The ``checkpoint`` is written after every epoch. If the file is there, the run goes on from it, and ends with the
    same weights as an uninterrupted one (same device and thread count). One that is damaged, or of images that were
    changed since, is kept under another name, and the run begins anew.

    `TrainingError` for a bad configuration, a checkpoint of another run, or a loss that is no longer finite. One step
    of every stage is tried first, so what cannot work is told before the first epoch. Where the guidance fails all the
    same, a `Notice` tells, and the result is what was learnt before, without guidance.
    """
    planned = plan_for(data, config)
    if told := tell_plan(planned, config):
        yield Notice(told)
    with own_threads(config.threads):
        yield from _Run(data, planned, name, start, checkpoint).events()


class _Run:
    """State of one run; `events` is the generator."""

    def __init__(
        self,
        data: TrainingData,
        config: TrainingConfig,
        name: str,
        start: GuidedSegmenter | None,
        checkpoint: Path | None,
    ) -> None:
        self.data, self.config, self.name, self.checkpoint = data, config, name, checkpoint
        self.device = choose_device(config.device).torch_device
        self.data_sha256 = data_sha256(data)
        self.start_sha256 = "" if start is None else tensors_sha256(start.state_dict())
        check_folds_for_refining(config)
        self.guidable = not config.takes_ratio or can_have_ratio(data, config)
        if config.schedule == "guidance" and not self.guidable:
            raise TrainingError(f"{no_ratio(config)} There is nothing to learn.")
        self.generator = torch.Generator().manual_seed(config.seed)
        self.learnt = self._learnt()
        self.stages = plan_stages(self.learnt)
        self.judging = judged_by(data.judging, self.learnt, len(data.scheme))
        # Guidance of the start that these images cannot teach stays what it is.
        kept = start is not None and not self.guidable
        self.dropped = "" if start is None or kept else tell_dropped(start, self.learnt)
        self.model = (
            copy.deepcopy(start)
            if start is not None and kept
            else build_model(self.learnt, data.scheme, data.channels, start)
        ).to(self.device)
        if config.checkpointing:
            use_checkpointing(self.model)
        self.model = self.model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.best = copy.deepcopy(self.average)
        self.feed = feed_for(data, config)
        self.history: list[EpochDone] = []
        self.best_miou, self.stale, self.spent = -math.inf, 0, 0.0
        self.final: Validation | None = None
        # What was chosen by its answers to a ratio is run so.
        self.mode: Literal["matched", "conditioned"] = (
            "conditioned" if self.learnt.validation_ratio == "true" else "matched"
        )

    def _learnt(self) -> TrainingConfig:
        """The settings without what these images cannot teach; records keep those that were asked for."""
        config = self.config
        if not self.guidable:
            config = config.changed(guidance="none", guidance_options={}, guidance_scales=1)
        # What takes no ratio is not judged with one.
        return config if config.takes_ratio else config.changed(validation_ratio="none")

    def events(self) -> Iterator[TrainingEvent]:
        yield from map(Notice, tell_data(self.data, self.config))
        if not self.guidable:
            yield Notice(f"{no_ratio(self.config)} The model is trained without guidance.")
        if self.dropped:
            yield Notice(self.dropped)
        if departures := find_departures(self.config):
            yield Notice(tell_departures(departures))
        yield Progress("Trying a step of every stage", 0, 1)
        self._try_stages()
        # Not torch's own dropout: its draws would be shared with the whole process and be in no checkpoint.
        own_dropout(self.model, self.generator)
        first_stage, first_epoch = 0, 0
        optimiser = prepare(self.model, self.stages[0], self.config)
        if self.checkpoint is not None:
            sweep(self.checkpoint)
        if self.checkpoint is not None and self.checkpoint.exists():
            resumed = self._resume()
            if isinstance(resumed, str):
                yield Notice(
                    f"{resumed} It is kept as {set_aside(self.checkpoint).name}; the run begins anew."
                )
            else:
                first_stage, first_epoch, optimiser = resumed
                yield Notice(f"Going on from {self.checkpoint.name} after epoch {len(self.history)}.")
        try:
            ever_stopped = yield from self._stages(first_stage, first_epoch, optimiser)
        except (PhaseguideError, RuntimeError, MemoryError) as error:
            if self.stages[0].name != "backbone" or len(self.history) < self.stages[0].epochs:
                raise
            ever_stopped = False
            self.best = with_guidance(self.best, GuidanceOptions("none", {}, 1))
            yield Notice(
                f"The stage of the guidance failed ({error}). What was learnt before is kept, without guidance. To add "
                "some, train from this model with --set schedule=guidance."
            )
        yield Progress("Measuring the trained model", 0, 1)
        yield Finished(self._result(ever_stopped))

    def _try_stages(self) -> None:
        """Take one step of every stage, judge and describe, on a copy, so that what cannot work is told at once."""
        kept = self.model, self.generator.get_state()
        at_work = "beginning"
        try:
            for stage in self.stages:
                at_work = f"stage {stage.name}"
                self.model = copy.deepcopy(kept[0])
                own_dropout(self.model, self.generator)
                optimiser = prepare(self.model, stage, self.config)
                set_modes(self.model, stage, self.config)
                self._guarded_step(stage, optimiser)
            at_work = "validation"
            judged = validate(
                self.average,
                (self.judging or self.data.taught)[:1],
                self.device,
                self.learnt.validation_ratio,
            )
            describe_model(self.name, self.average, self.data, {"validation": judged}, {}, mode=self.mode)
            if self.checkpoint is not None:
                check_room(self.checkpoint, self._modules(), optimiser)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"The run cannot work as it is set: a first try of the {at_work} failed ({error}). Change the "
                "settings, for example batch, crop or architecture."
            ) from error
        finally:
            self.model = kept[0]
            self.generator.set_state(kept[1])

    def _guarded_step(self, stage: Stage, optimiser: torch.optim.Optimizer, number: int = 0) -> float | None:
        try:
            loss = self._step(stage, optimiser, number)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(too_large(self.config, self.model)) from error
        if loss is not None and not math.isfinite(loss):
            raise TrainingError(
                f"The loss is no longer a number after {len(self.history)} epochs. Lower the learning rate "
                f"(now {self.config.learning_rate:g}) or check the images for wild values."
            )
        return loss

    def _stages(self, first_stage: int, first_epoch: int, optimiser: torch.optim.Optimizer) -> Any:
        """Run the stages from a position on; returns whether one was stopped early."""
        ever_stopped = False
        for index in range(first_stage, len(self.stages)):
            stage = self.stages[index]
            if index > first_stage or first_epoch == 0:
                if index > 0:
                    # The next stage builds on the best weights of this one, not on its last ones.
                    self.model.load_state_dict(self.best.state_dict())
                    self.average.load_state_dict(self.best.state_dict())
                    self.best_miou, self.stale = -math.inf, 0
                optimiser = prepare(self.model, stage, self.config)
            for epoch in range(first_epoch, stage.epochs):
                done = yield from self._epoch(stage, epoch, optimiser)
                self.history.append(done)
                last = epoch + 1 == stage.epochs
                stopped = bool(self.config.patience) and self.stale >= self.config.patience
                if self.checkpoint is not None:
                    self._save(optimiser, (index + 1, 0) if last or stopped else (index, epoch + 1))
                yield done
                if stopped:
                    ever_stopped = True
                    yield Notice(
                        f"Stopped early ({stage.name}): {self.stale} validations without a better one."
                    )
                    break
            first_epoch = 0
        return ever_stopped

    def _epoch(self, stage: Stage, epoch: int, optimiser: torch.optim.Optimizer) -> Any:
        started = time.perf_counter()
        total = stage.epochs * self.feed.steps
        losses = []
        self.feed.begin_epoch(self.generator)
        for k in range(self.feed.steps):
            step = epoch * self.feed.steps + k
            set_rate(optimiser, step, total, self.config.rate_schedule)
            set_modes(self.model, stage, self.config)
            loss = self._guarded_step(stage, optimiser, k)
            update_average(self.average, self.model, self.config.average, step)
            losses += [] if loss is None else [loss]
            yield Progress(f"Training ({stage.name}, epoch {epoch + 1} of {stage.epochs})", step + 1, total)
        return self._validate(stage, epoch, float(np.mean(losses)) if losses else 0.0, started)

    def _step(self, stage: Stage, optimiser: torch.optim.Optimizer, number: int = 0) -> float | None:
        """Learn from one batch and return the loss; None where the stage needs a ratio and no crop has one.

        ``number`` counts the steps of an epoch.
        """
        c = self.config
        needs_ratio = stage.name == "guidance" and self.learnt.takes_ratio
        redraws = REDRAWS if needs_ratio else 0
        pixels, labels, ratios = self.feed.draw(number, self.generator, redraws)
        if needs_ratio and bool(torch.isnan(ratios).any(1).all()):
            return None
        images = vary_appearance(pixels, c, stage.degrade, self.generator)
        given = noisy_ratios(ratios, stage.ratio_dropout, c.ratio_noise, self.generator)
        images = images.to(self.device, memory_format=torch.channels_last)
        labels = labels.to(self.device)
        given = None if given is None else given.to(self.device)
        with own_draws(self.generator, self.device):
            with torch.set_grad_enabled(stage.name != "guidance"):
                features = encoded(self.model, self.model.encode, images)
            logits = decode_shown(self.model, features, given, labels, self.generator)
        loss = segmentation_loss(
            logits,
            labels,
            dice_weight=c.dice_weight,
            composition_weight=stage.composition_weight,
            asked=given,
            cross_entropy_weight=c.cross_entropy_weight,
            composition_loss=c.composition_loss,
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if c.clip_gradient:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), c.clip_gradient)
        optimiser.step()
        return float(loss.detach())

    def _validate(self, stage: Stage, epoch: int, loss: float, started: float) -> EpochDone:
        judged: Validation | None = None
        last = epoch + 1 == stage.epochs
        if stage.name == "guidance" or not self.judging:
            # Without a ratio this stage changes nothing, or nothing judges: there is nothing to choose between.
            self.best.load_state_dict(self.average.state_dict())
        elif last or (epoch + 1) % self.config.validate_every == 0:
            judged = validate(self.average, self.judging, self.device, self.learnt.validation_ratio)
            if judged.scores.miou > self.best_miou:
                self.best_miou, self.stale = judged.scores.miou, 0
                self.best.load_state_dict(self.average.state_dict())
                self.final = judged
            else:
                self.stale += 1
        seconds = time.perf_counter() - started
        self.spent += seconds
        done, all_epochs = len(self.history) + 1, sum(s.epochs for s in self.stages)
        return EpochDone(
            stage=stage.name,
            epoch=done,
            epochs=all_epochs,
            loss=loss,
            miou=None if judged is None else judged.scores.miou,
            dice_mean=None if judged is None else judged.scores.dice_mean,
            accuracy=None if judged is None else judged.scores.accuracy,
            fraction_mae=None if judged is None else judged.fraction_mae,
            best=judged is not None and self.stale == 0,
            seconds=seconds,
            seconds_left=self.spent / done * (all_epochs - done),
            gauges=read_gauges(self.model.guidance),
        )

    def _save(self, optimiser: torch.optim.Optimizer, position: tuple[int, int]) -> None:
        assert self.checkpoint is not None
        state = {
            "config": self.config.to_dict(),
            "images": self.data.stems,
            "data_sha256": self.data_sha256,
            "start_sha256": self.start_sha256,
            "position": list(position),
            "best_miou": None if math.isinf(self.best_miou) else self.best_miou,
            "stale": self.stale,
            "spent": self.spent,
            "history": [dataclasses.asdict(h) for h in self.history],
        }
        save_checkpoint(self.checkpoint, self._modules(), optimiser, self.generator, state)

    def _resume(self) -> tuple[int, int, torch.optim.Optimizer] | str:
        """Take up what a checkpoint holds; a sentence where nothing can go on from it."""
        assert self.checkpoint is not None
        try:
            tensors, state = load_checkpoint(self.checkpoint)
        except DamagedCheckpointError as error:
            return str(error)
        same_run = (
            self.config.is_recorded_as(state.get("config", {})) and state.get("images") == self.data.stems
        )
        if not same_run or state.get("start_sha256") != self.start_sha256:
            raise TrainingError(
                f"{self.checkpoint}: this checkpoint belongs to a run with other settings or images, or another start. "
                "Delete it to start afresh, or run with the old ones."
            )
        if state["data_sha256"] != self.data_sha256:
            return (
                f"{self.checkpoint}: the images or labels were changed since this checkpoint, though they have the "
                "same names."
            )
        stage, epoch = state["position"]
        # A run that ended a stage has saved that stage's optimiser, which the next one replaces.
        optimiser = prepare(self.model, self.stages[stage if epoch else max(0, stage - 1)], self.config)
        restore(tensors, state, self._modules(), optimiser, self.generator)
        self.best_miou = -math.inf if state["best_miou"] is None else state["best_miou"]
        self.stale, self.spent = state["stale"], state["spent"]
        self.history = [EpochDone(**h) for h in state["history"]]
        return stage, epoch, optimiser

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"model": self.model, "average": self.average, "best": self.best}

    def _result(self, stopped: bool) -> TrainingResult:
        found = measure(self.best, self.data, self.learnt, self.device, self.final)
        segmenter = self.best.to("cpu").to(memory_format=torch.contiguous_format)
        segmenter.requires_grad_(True)
        segmenter.eval()
        record = {
            **describe_run(self.config, self.data, self.device),
            "epochs": len(self.history),
            "seconds": round(self.spent, 1),
            "gauges": [h.gauges for h in self.history if h.gauges and h.stage != "backbone"],
        }
        card = describe_model(self.name, segmenter, self.data, found, record, mode=self.mode)
        return TrainingResult(segmenter, card, tuple(self.history), stopped, record)
