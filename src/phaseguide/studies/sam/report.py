"""What the measurements on Segment Anything come to: a training run, the aims, and tables to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from phaseguide.studies.sam.benchmark import SamReport
from phaseguide.studies.sam.encoder import THEIRS, EncoderRow
from phaseguide.studies.sam.ratio import RatioRow
from phaseguide.studies.sam.step import OURS, PEER, StepRow

EPOCHS, IMAGES = 40, 20
CONTEXT_MB = 1000
"""Room for CUDA itself and its libraries, where GPU memory is computed from a peak on the CPU."""

CUDA_MB = 8000
NONE = "not measured"

WAYS = {
    "nothing": "all adapters and the decoder",
    "first blocks": "adapters of the last {blocks} blocks and the decoder; earlier blocks once an image",
    "encoder": "decoder alone; encoder once an image",
}


@dataclass(frozen=True)
class Aim:
    """An aim, what was measured, and whether it is met (None: not measured)."""

    what: str
    aim: str
    measured: str
    met: bool | None


def forty_epochs(report: SamReport) -> list[dict[str, Any]]:
    """Compute a run of 40 epochs over 20 images from the measured pieces.

    Returns
    -------
    list of dict
        One a way to learn and device: seconds on the clock and of the processor, and the share of the first way
        (by the processor on a CPU, by the clock on a GPU).
    """
    runs: list[dict[str, Any]] = []
    for device in dict.fromkeys(row.device for row in report.run):
        whole = None
        for row in (row for row in report.run if row.device == device):
            seconds = (row.once_s or 0) * IMAGES + median(row.wall_s) * EPOCHS * IMAGES
            cpu = (row.once_cpu_s or 0) * IMAGES + median(row.cpu_s) * EPOCHS * IMAGES
            cost = cpu if device == "cpu" else seconds
            whole = cost if whole is None else whole
            runs.append(
                {
                    "device": device,
                    "side": row.side,
                    "learns": WAYS[row.once].format(blocks=row.blocks),
                    "step_s": median(row.wall_s),
                    "step_cpu_s": median(row.cpu_s),
                    "once_s": row.once_s,
                    "run_s": seconds,
                    "run_cpu_s": cpu,
                    "share": cost / whole,
                }
            )
    return runs


def aims(report: SamReport) -> tuple[Aim, ...]:
    """Return the aims with what was measured; encoders at other sizes than a field are not judged.

    On a CPU the time of the processor is judged: it is what an idle core would take, and more than two idle cores
    would, whatever else the machine does meanwhile.
    """
    field = report.plan.field
    return (
        *_encoder_aims([row for row in report.encoder if row.side == field], field),
        *_ratio_aims(report.ratio, field),
        *_step_aims(report.step),
        _memory_aim(report.run, field),
    )


def _encoder_aims(rows: Sequence[EncoderRow], field: int) -> Iterable[Aim]:
    for device, wanted in (("cpu", 1.0), ("cuda", 3.0)):
        own = [row for row in rows if row.device == device and row.name != THEIRS]
        what = f"encoder at {field} px on {device}"
        aim = "not slower than segment-anything" if device == "cpu" else "3 times as fast as segment-anything"
        if not own:
            yield Aim(what, aim, NONE, None)
            continue
        last = own[-1]  # the way it is used: with adapters, and compiled on a GPU
        judged = last.times_as_fast_cpu if device == "cpu" else last.times_as_fast
        text = f"{judged:.2f} times as fast"
        text += f" by processor time; {last.times_as_fast:.2f} by the clock" if device == "cpu" else ""
        yield Aim(
            what,
            aim,
            f"{text} ({last.times_as_fast_low:.2f} to {last.times_as_fast_high:.2f})",
            judged >= wanted,
        )
        if device == "cpu":
            worst = max(row.difference or 0.0 for row in own)
            yield Aim(f"difference of its output at {field} px", "under 1e-4", f"{worst:.1e}", worst < 1e-4)
        else:
            text = f"{100 * (last.labels_equal or 0):.2f} % of pixels; logits differ by at most "
            text += f"{last.logit_difference:.3g} at a standard deviation of {last.logit_std:.3g}"
            yield Aim("same phases on cuda", "over 99.9 % on trained weights, or stated", text, None)


def _ratio_aims(rows: Sequence[RatioRow], field: int) -> Iterable[Aim]:
    for device, limit, pick, what in (
        ("cpu", 0.3, "change", f"changed ratio at {field} px on cpu"),
        ("cuda", 0.005, "decode", f"decode with a ratio at {field} px on cuda"),
    ):
        aim = f"under {1000 * limit:g} ms"
        own = [row for row in rows if row.device == device]
        if not own:
            yield Aim(what, aim, NONE, None)
        for row in own:
            seconds, cpu = median(getattr(row, f"{pick}_s")), median(getattr(row, f"{pick}_cpu_s"))
            judged, text = (cpu, " of the processor") if device == "cpu" else (seconds, "")
            yield Aim(
                f"{what}, {row.head} decoder", aim, f"{_number(1000 * judged)} ms{text}", judged < limit
            )


def _step_aims(rows: Sequence[StepRow]) -> Iterable[Aim]:
    for device in ("cpu", "cuda"):
        pairs = _pairs([row for row in rows if row.device == device])
        what = f"training step on {device}"
        if not pairs:
            yield Aim(f"{what}: memory", "at most 60 % of the plain loop", NONE, None)
        for peer, own in pairs:
            if own.memory_mb is not None and peer.memory_mb:
                share = own.memory_mb / peer.memory_mb
                name = f"{what}, {own.side} px{', checkpointing' if own.checkpointing else ''}: memory"
                yield Aim(name, "at most 60 % of the plain loop", f"{100 * share:.0f} %", share <= 0.6)
        if device == "cuda":
            if not pairs:
                yield Aim(f"{what}: time", "at most 60 % of the plain loop", NONE, None)
            for peer, own in pairs:
                share = median(own.wall_s) / median(peer.wall_s)
                name = f"{what}, {own.side} px{', checkpointing' if own.checkpointing else ''}: time"
                yield Aim(name, "at most 60 % of the plain loop", f"{100 * share:.0f} %", share <= 0.6)


def _memory_aim(rows: Sequence[StepRow], field: int) -> Aim:
    what, aim = f"fine-tuning at {field} px", "within 8 GB of GPU memory"
    whole = [row for row in rows if row.once == "nothing"]
    for row in whole:
        if row.gpu_peak_mb is not None:
            return Aim(what, aim, f"{row.gpu_peak_mb / 1000:.1f} GB", row.gpu_peak_mb + CONTEXT_MB < CUDA_MB)
    for row in whole:
        if row.memory_mb is not None:
            total = row.memory_mb + row.weights_mb + CONTEXT_MB
            text = (
                f"computed: {row.memory_mb / 1000:.1f} GB at the peak on the CPU + {row.weights_mb / 1000:.1f} GB "
                f"weights + {CONTEXT_MB / 1000:g} GB for CUDA = {total / 1000:.1f} GB"
            )
            return Aim(what, aim, text, total < CUDA_MB)
    return Aim(what, aim, NONE, None)


def _pairs(rows: Sequence[StepRow]) -> list[tuple[StepRow, StepRow]]:
    """Each of our rows with the plain loop at its size."""
    peers = {row.side: row for row in rows if row.who == PEER}
    return [(peers[row.side], row) for row in rows if row.who == OURS and row.side in peers]


def to_markdown(report: SamReport) -> str:
    """Return the report as Markdown tables."""
    machine = report.machine
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {_threads(machine['threads'])}, "
        f"{machine['gpu'] or 'no GPU'}, torch {machine['torch']}; "
        f"{report.plan.encoder} with random weights; load {' and '.join(f'{n:g}' for n in report.load)} "
        "in the minute before the start and the end",
    ]
    if report.encoder:
        lines += ["", "**Encoder**", "", *_encoder_table(report.encoder)]
    if report.ratio:
        lines += ["", "**Changed ratio**", "", *_ratio_table(report.ratio)]
    if report.step:
        lines += ["", "**Training step**", "", *_step_table(report.step)]
    if report.run:
        lines += ["", f"**{EPOCHS} epochs over {IMAGES} images** (computed from measured steps)", ""]
        lines += _run_table(report)
    lines += ["", "**Aims**", "", *_table(("", "aim", "measured", "met"), _aim_cells(report))]
    lines += ["", *(f"Not measured: {text}." for text in report.not_measured)]
    return "\n".join(lines).rstrip() + "\n"


def _encoder_table(rows: Sequence[EncoderRow]) -> list[str]:
    head = ("encoder", "px", "device", "s", "s of the processor", "times as fast", "by processor time",
            "largest difference", "of logits (their std)", "same phase, %")  # fmt: skip
    return _table(
        head,
        (
            (
                row.name,
                str(row.side),
                row.device,
                _number(median(row.wall_s)),
                _number(median(row.cpu_s)),
                ""
                if row.difference is None
                else f"{row.times_as_fast:.2f} ({row.times_as_fast_low:.2f} to {row.times_as_fast_high:.2f})",
                "" if row.difference is None or row.device != "cpu" else f"{row.times_as_fast_cpu:.2f}",
                "" if row.difference is None else f"{row.difference:.1e}",
                "" if row.logit_difference is None else f"{row.logit_difference:.1e} ({row.logit_std:.2g})",
                "" if row.labels_equal is None else f"{100 * row.labels_equal:.3f}",
            )
            for row in rows
        ),
    )


def _ratio_table(rows: Sequence[RatioRow]) -> list[str]:
    head = ("decoder", "px", "device", "precision", "first result, s", "decode, ms", "matching, ms",
            "whole change, ms")  # fmt: skip

    def both(row: RatioRow, name: str) -> str:
        wall, cpu = (1000 * median(getattr(row, f"{name}{kind}")) for kind in ("_s", "_cpu_s"))
        return f"{_number(wall)} ({_number(cpu)})" if row.device == "cpu" else _number(wall)

    return _table(
        head,
        (
            (
                row.head,
                str(row.side),
                row.device,
                row.precision,
                _number(row.first_s),
                *(both(row, name) for name in ("decode", "matching", "change")),
            )
            for row in rows
        ),
    )


def _step_table(rows: Sequence[StepRow]) -> list[str]:
    head = ("who", "px", "device", "rank", "precision", "s a step", "s of the processor", "memory, MB",
            "time to theirs, %", "memory to theirs, %")  # fmt: skip
    peers = {(own.device, own.side, own.checkpointing): peer for peer, own in _pairs(rows)}
    cells = []
    for row in rows:
        peer = peers.get((row.device, row.side, row.checkpointing)) if row.who == OURS else None
        time = memory = ""
        if peer is not None:
            kind = "cpu_s" if row.device == "cpu" else "wall_s"
            time = f"{100 * median(getattr(row, kind)) / median(getattr(peer, kind)):.0f}"
            if row.memory_mb is not None and peer.memory_mb:
                memory = f"{100 * row.memory_mb / peer.memory_mb:.0f}"
        cells.append(
            (
                row.who + (", checkpointing" if row.checkpointing else ""),
                str(row.side),
                row.device,
                str(row.rank),
                row.precision,
                _number(median(row.wall_s)),
                _number(median(row.cpu_s)),
                "" if row.memory_mb is None else f"{row.memory_mb:.0f}",
                time,
                memory,
            )
        )
    return _table(head, cells)


def _run_table(report: SamReport) -> list[str]:
    head = ("what learns", "px", "device", "s a step (processor)", "once an image, s", "memory, MB",
            "whole run, h (processor)", "share, %")  # fmt: skip
    return _table(
        head,
        (
            (
                run["learns"],
                str(run["side"]),
                run["device"],
                f"{_number(run['step_s'])} ({_number(run['step_cpu_s'])})",
                "" if run["once_s"] is None else _number(run["once_s"]),
                "" if row.memory_mb is None else f"{row.memory_mb:.0f}",
                f"{run['run_s'] / 3600:.2f} ({run['run_cpu_s'] / 3600:.2f})",
                f"{100 * run['share']:.0f}",
            )
            for run, row in zip(forty_epochs(report), report.run, strict=True)
        ),
    )


def _aim_cells(report: SamReport) -> Iterable[tuple[str, ...]]:
    words = {True: "yes", False: "no", None: ""}
    return ((aim.what, aim.aim, aim.measured, words[aim.met]) for aim in aims(report))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(cells) + " |" for cells in rows),
    ]


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
