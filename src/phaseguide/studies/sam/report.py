"""What the measurements on Segment Anything come to: a training run, the aims, and tables to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import phaseguide
from phaseguide.studies.report import fixed, machine_line, number, section, table
from phaseguide.studies.sam.rows import OURS, PEER, THEIRS, EncoderRow, RatioRow, SamReport, StepRow

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


def to_dict(report: SamReport) -> dict[str, Any]:
    """Return what ``phaseguide benchmark sam --json`` writes."""
    return {
        **asdict(report),
        "forty_epochs": forty_epochs(report),
        "aims": [asdict(aim) for aim in aims(report)],
        "version": phaseguide.__version__,
    }


def forty_epochs(report: SamReport) -> list[dict[str, Any]]:
    """Compute a run of 40 epochs over 20 images from the measured pieces, one a way to learn and device.

    The share is of the first way: by the processor on a CPU, by the clock on a GPU.
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
            yield Aim(f"{what}, {row.head} decoder", aim, f"{number(judged, 1000)} ms{text}", judged < limit)


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


def to_lines(report: SamReport) -> list[str]:
    """Return the report as lines of Markdown."""
    words = {True: "yes", False: "no", None: None}
    load = " and ".join(f"{n:g}" for n in report.load)
    return [
        f"{machine_line(report.machine)}; {report.plan.encoder} with random weights; load {load} in the minute before "
        "the start and the end",
        *section("Encoder", _encoder_table(report.encoder)),
        *section("Changed ratio", _ratio_table(report.ratio)),
        *section("Training step", _step_table(report.step)),
        *section(f"{EPOCHS} epochs over {IMAGES} images, computed from measured steps", _run_table(report)),
        *section(
            "Aims",
            table(
                {
                    "": lambda aim: aim.what,
                    "aim": lambda aim: aim.aim,
                    "measured": lambda aim: aim.measured,
                    "met": lambda aim: words[aim.met],
                },
                aims(report),
            ),
        ),
        "",
        *(f"Not measured: {text}." for text in report.not_measured),
    ]


def _encoder_table(rows: Sequence[EncoderRow]) -> list[str]:
    def ours(row: EncoderRow, text: str) -> str | None:
        return None if row.difference is None else text

    spread = "{0.times_as_fast:.2f} ({0.times_as_fast_low:.2f} to {0.times_as_fast_high:.2f})"
    return table(
        {
            "encoder": lambda row: row.name,
            "px": lambda row: row.side,
            "device": lambda row: row.device,
            "s": lambda row: number(median(row.wall_s)),
            "s of the processor": lambda row: number(median(row.cpu_s)),
            "times as fast": lambda row: ours(row, spread.format(row)),
            "by processor time": lambda row: (
                ours(row, f"{row.times_as_fast_cpu:.2f}") if row.device == "cpu" else None
            ),
            "largest difference": lambda row: ours(row, f"{row.difference or 0:.1e}"),
            "of logits (their std)": lambda row: ours(
                row, f"{row.logit_difference or 0:.1e} ({row.logit_std:.2g})"
            ),
            "same phase, %": lambda row: fixed(row.labels_equal, 3, 100),
        },
        rows,
    )


def _ratio_table(rows: Sequence[RatioRow]) -> list[str]:
    def both(row: RatioRow, name: str) -> str | None:
        wall, cpu = (number(median(getattr(row, f"{name}{kind}")), 1000) for kind in ("_s", "_cpu_s"))
        return f"{wall} ({cpu})" if row.device == "cpu" else wall

    return table(
        {
            "decoder": lambda row: row.head,
            "px": lambda row: row.side,
            "device": lambda row: row.device,
            "precision": lambda row: row.precision,
            "first result, s": lambda row: number(row.first_s),
            "decode, ms": lambda row: both(row, "decode"),
            "matching, ms": lambda row: both(row, "matching"),
            "whole change, ms": lambda row: both(row, "change"),
        },
        rows,
    )


def _step_table(rows: Sequence[StepRow]) -> list[str]:
    peers = {(own.device, own.side, own.checkpointing): peer for peer, own in _pairs(rows)}

    def to_theirs(row: StepRow, name: str) -> str | None:
        peer = peers.get((row.device, row.side, row.checkpointing)) if row.who == OURS else None
        if peer is None:
            return None
        if name == "memory":
            return fixed(row.memory_mb / peer.memory_mb, 0, 100) if row.memory_mb and peer.memory_mb else None
        kind = "cpu_s" if row.device == "cpu" else "wall_s"
        return fixed(median(getattr(row, kind)) / median(getattr(peer, kind)), 0, 100)

    return table(
        {
            "who": lambda row: row.who + (", checkpointing" if row.checkpointing else ""),
            "px": lambda row: row.side,
            "device": lambda row: row.device,
            "rank": lambda row: row.rank,
            "precision": lambda row: row.precision,
            "s a step": lambda row: number(median(row.wall_s)),
            "s of the processor": lambda row: number(median(row.cpu_s)),
            "memory, MB": lambda row: fixed(row.memory_mb, 0),
            "time to theirs, %": lambda row: to_theirs(row, "time"),
            "memory to theirs, %": lambda row: to_theirs(row, "memory"),
        },
        rows,
    )


def _run_table(report: SamReport) -> list[str]:
    return table(
        {
            "what learns": lambda pair: pair[0]["learns"],
            "px": lambda pair: pair[0]["side"],
            "device": lambda pair: pair[0]["device"],
            "s a step (processor)": lambda pair: (
                f"{number(pair[0]['step_s'])} ({number(pair[0]['step_cpu_s'])})"
            ),
            "once an image, s": lambda pair: number(pair[0]["once_s"]),
            "memory, MB": lambda pair: fixed(pair[1].memory_mb, 0),
            "whole run, h (processor)": lambda pair: (
                f"{pair[0]['run_s'] / 3600:.2f} ({pair[0]['run_cpu_s'] / 3600:.2f})"
            ),
            "share, %": lambda pair: fixed(pair[0]["share"], 0, 100),
        },
        zip(forty_epochs(report), report.run, strict=True),
    )
