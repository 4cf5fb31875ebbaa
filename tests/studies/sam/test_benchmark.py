"""The benchmark of Segment Anything at a tiny size: a fair peer, rows, what is computed from them, failures."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from phaseguide.errors import PhaseguideError
from phaseguide.models.sam.encoder import to_sam_pixels
from phaseguide.models.sam.lora import ADAPTER, lora_layers
from phaseguide.studies.sam import step
from phaseguide.studies.sam.benchmark import benchmark_sam, check_plan, make_tasks
from phaseguide.studies.sam.encoder import measure as measure_encoder
from phaseguide.studies.sam.peer import PlainLoraSam, build_segmenter, image_planes
from phaseguide.studies.sam.ratio import measure as measure_ratio
from phaseguide.studies.sam.report import aims, forty_epochs, to_dict, to_lines
from phaseguide.studies.sam.rows import (
    OURS,
    PEER,
    QUICK,
    THEIRS,
    EncoderTask,
    RatioRow,
    RatioTask,
    SamPlan,
    SamReport,
    StepRow,
    StepTask,
)
from phaseguide.studies.sam.step import measure as measure_step
from phaseguide.studies.speed.harness import worker_messages

TASK = StepTask(OURS, "vit_tiny", 96, 4, 0, "nothing", False, "cpu", "float32", 1, 2)


def test_the_plain_loop_computes_what_ours_does() -> None:
    """With the same base and the same adapters both encoders give the same, at a side that needs resampling."""
    backbone = build_segmenter("vit_tiny", 4).backbone
    peer = PlainLoraSam(backbone.shape, backbone.base.encoder, 3, 4, 96)
    planes = image_planes(96, "cpu")
    layers = lora_layers(backbone.encoder)
    with torch.no_grad():
        plain = peer.encoder(to_sam_pixels(planes))
        for block, query, value in zip(peer.encoder.blocks, layers[::2], layers[1::2], strict=True):
            for own, layer in (("q", query), ("v", value)):
                getattr(block.attn.qkv, f"{own}_a").weight.copy_(layer.lora_A[ADAPTER].weight)
                getattr(block.attn.qkv, f"{own}_b").weight.copy_(layer.lora_B[ADAPTER].weight)
        theirs, ours = peer.encoder(to_sam_pixels(planes)), backbone.encode(planes).maps[0]
    assert (plain - theirs).abs().max() > 1e-3, "adapters have a say"
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_the_plain_loop_learns_adapters_and_decoder_and_nothing_else() -> None:
    backbone = build_segmenter("vit_tiny", 4).backbone
    peer = PlainLoraSam(backbone.shape, backbone.base.encoder, 3, 4, 64)
    logits = peer(to_sam_pixels(image_planes(64, "cpu")))
    assert logits.shape == (1, 3, 64, 64)
    logits.square().mean().backward()
    reached = {name for name, p in peer.named_parameters() if p.grad is not None}
    learning = {name for name, p in peer.named_parameters() if p.requires_grad}
    assert reached <= learning
    assert all(n.startswith("decoder.") or ".qkv.q_" in n or ".qkv.v_" in n for n in learning)
    assert any(".qkv.q_b" in n for n in reached) and any(n.startswith("decoder.transformer") for n in reached)


@pytest.mark.parametrize("side", [256, 128])
def test_encoders_take_turns_and_agree(side: int) -> None:
    """256 px is the tiny model's own side, 128 needs another position embedding."""
    stages: list[str] = []
    rows = measure_encoder(EncoderTask("vit_tiny", side, 4, "cpu", 1, 2), stages.append).rows
    assert [row.name for row in rows] == [THEIRS, "phaseguide, base", "phaseguide, adapters of rank 4"]
    turns = [stage.split(", ")[0] for stage in stages[1:]]
    assert turns == ["segment-anything", "phaseguide", "phaseguide"] * 3, "a warm-up, then turn by turn"
    for row in rows:
        assert len(row.wall_s) == len(row.cpu_s) == 2 and min(row.wall_s) > 0
        assert row.times_as_fast_low <= row.times_as_fast <= row.times_as_fast_high
    for row in rows[1:]:
        assert row.difference is not None and row.difference < 1e-4 < row.output_std
        assert row.labels_equal is not None and row.labels_equal > 0.999


@pytest.mark.parametrize("head", ["mask", "conv"])
def test_a_changed_ratio_is_measured_in_its_parts(head: str) -> None:
    row = measure_ratio(RatioTask("vit_tiny", 128, 4, head, "cpu", 1, 2), lambda _: None)
    assert (row.head, row.phases, row.guidance, row.precision) == (head, 3, "plm", "float32")
    for name in ("decode", "matching", "change"):
        assert len(getattr(row, f"{name}_s")) == len(getattr(row, f"{name}_cpu_s")) == 2
    assert min(row.change_s) > min(row.decode_s) > 0


def test_steps_learn_and_saving_memory_changes_no_loss() -> None:
    peer = measure_step(replace(TASK, who=PEER), lambda _: None)
    ours = measure_step(TASK, lambda _: None)
    saving = measure_step(replace(TASK, checkpointing=True), lambda _: None)
    for row in (peer, ours):
        assert len(row.losses) == 3 and row.losses[-1] < row.losses[0]
        assert len(row.wall_s) == 2 and row.once_s is None
    assert saving.losses == pytest.approx(ours.losses, abs=1e-6)


def test_what_is_computed_once_is_exact() -> None:
    """Training the last block on kept tokens is training it on the image."""
    kept = measure_step(replace(TASK, blocks=1, once="first blocks"), lambda _: None)
    whole = measure_step(replace(TASK, blocks=1), lambda _: None)
    decoder = measure_step(replace(TASK, once="encoder"), lambda _: None)
    assert kept.losses == pytest.approx(whole.losses, abs=1e-6)
    assert kept.once_s is not None and kept.learning == whole.learning
    assert decoder.learning < kept.learning and decoder.losses[-1] < decoder.losses[0]


def test_a_step_in_a_process_of_its_own() -> None:
    messages = list(worker_messages(step.__name__, asdict(replace(TASK, repeats=1)), "a step"))
    row = messages[-1]["row"]
    assert [m["stage"] for m in messages[:-1]] == [
        "building", "what is computed once", "step 1 of 2", "step 2 of 2",
    ]  # fmt: skip
    assert row["memory_mb"] is None or 0 < row["memory_mb"] < 500
    assert row["weights_mb"] == pytest.approx(0.97, abs=0.1)


def step_row(**changes: object) -> StepRow:
    task = {name: value for name, value in asdict(TASK).items() if name not in ("threads", "repeats")}
    measured: dict[str, object] = {
        "threads": 1, "wall_s": (2.0,), "cpu_s": (4.0,), "once_s": None, "once_cpu_s": None, "learning": 10,
        "weights_mb": 400.0, "memory_mb": 3000.0, "gpu_peak_mb": None, "losses": (1.0, 0.9),
    }  # fmt: skip
    return StepRow(**{**task, **measured, **changes})  # type: ignore[arg-type]


def report(**parts: tuple[object, ...]) -> SamReport:
    machine = {"processor": "P", "cores": 2, "threads": 2, "gpu": None, "torch": "2"}
    empty = {"encoder": (), "ratio": (), "step": (), "run": ()}
    return SamReport(machine, (0.5, 1.0), SamPlan(), **{**empty, **parts}, not_measured=("CUDA: none",))  # type: ignore[arg-type]


def test_a_run_is_computed_from_its_pieces() -> None:
    whole = step_row()
    kept = step_row(blocks=4, once="first blocks", wall_s=(1.0,), cpu_s=(1.0,), once_s=3.0, once_cpu_s=6.0)
    all_, last = forty_epochs(report(run=(whole, kept)))
    assert (all_["run_s"], all_["run_cpu_s"], all_["share"]) == (1600.0, 3200.0, 1.0)
    assert (last["run_s"], last["run_cpu_s"]) == (860.0, 920.0)
    assert last["share"] == pytest.approx(920 / 3200) and "last 4 blocks" in last["learns"]


def test_aims_are_judged_and_what_was_not_measured_says_so() -> None:
    peer, good, bad = (
        step_row(who=PEER, memory_mb=1000.0),
        step_row(memory_mb=600.0),
        step_row(memory_mb=601.0),
    )
    found = aims(report(step=(peer, good, bad), run=(step_row(),)))
    assert [aim.met for aim in found if "step on cpu" in aim.what] == [True, False]
    assert all(aim.met is None and aim.measured == "not measured" for aim in found if "cuda" in aim.what)
    (memory,) = (aim for aim in found if "8 GB" in aim.aim)
    assert memory.met and "computed: 3.0 GB" in memory.measured and "4.4 GB" in memory.measured
    (memory,) = (aim for aim in aims(report(run=(step_row(memory_mb=7000.0),))) if "8 GB" in aim.aim)
    assert memory.met is False
    text = "\n".join(to_lines(report(step=(peer, good))))
    assert "60 %" in text and "not measured" in text and "Not measured: CUDA: none." in text


def test_on_a_cpu_the_processor_is_judged_and_on_a_gpu_the_clock() -> None:
    """A machine that is busy with other work is no reason to miss an aim."""
    slow = RatioRow(
        "vit_b", 1024, "mask", "plm", 3, "cpu", "float32", 1, 9.0, (1.0,), (0.1,), (1.0,), (0.1,), (1.0,), (0.2,)
    )  # fmt: skip
    (aim,) = (aim for aim in aims(report(ratio=(slow,))) if "on cpu, mask" in aim.what)
    assert aim.met and aim.measured == "200 ms of the processor"
    (aim,) = (
        aim for aim in aims(report(ratio=(replace(slow, device="cuda"),))) if "on cuda, mask" in aim.what
    )
    assert aim.met is False and aim.measured == "1000 ms"


def test_every_part_has_tasks_on_both_devices() -> None:
    for part in ("encoder", "ratio", "step", "run"):
        tasks = make_tasks(SamPlan(), part, ("cpu", "cuda"), 0)
        assert {task.device for task in tasks} == {"cpu", "cuda"}
    on_gpu = [t for t in make_tasks(SamPlan(), "step", ("cuda",), 0) if isinstance(t, StepTask)]
    assert [(t.who, t.precision, t.side) for t in on_gpu] == [
        (PEER, "float32", 1024), (OURS, "bfloat16", 1024), (OURS, "bfloat16", 1024),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "parts", "told"),
    [
        (replace(QUICK, encoder="vit_x"), ("encoder",), "vit_b"),
        (QUICK, ("speed",), "no part speed"),
        (QUICK, (), "nothing to measure"),
        (replace(QUICK, field=100), ("encoder",), "multiples of 16"),
        (replace(QUICK, last_blocks=2), ("run",), "has 2 blocks"),
        (replace(QUICK, rank=0), ("run",), "rank is 0"),
    ],
)
def test_plans_that_cannot_be_carried_out(plan: SamPlan, parts: tuple[str, ...], told: str) -> None:
    with pytest.raises(PhaseguideError, match=told):
        check_plan(plan, parts)


def test_devices_that_are_not_measured() -> None:
    with pytest.raises(PhaseguideError, match="not on 'mps'"):
        next(benchmark_sam(QUICK, devices=("mps",)))


@pytest.mark.gpu
def test_a_gpu_is_faster_and_agrees() -> None:
    rows = measure_encoder(EncoderTask("vit_tiny", 256, 4, "cuda", 0, 2), lambda _: None).rows
    assert len(rows) == 5 and rows[-1].labels_equal is not None and rows[-1].labels_equal > 0.95


def test_rows_are_plain_json() -> None:
    data = json.loads(json.dumps(to_dict(report(run=(step_row(),))), allow_nan=False))
    assert data["forty_epochs"][0]["run_s"] == 1600.0 and data["aims"] and data["plan"]["encoder"] == "vit_b"
