"""What commands put out: tables for people, JSON for programs."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import TILE
from phaseguide.errors import OutputError, PhaseguideError
from phaseguide.files.json_files import json_bytes, read_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STANDARD_OUTPUT = "-"

MARK = "phaseguide"
"""Key by which a file of numbers tells that the program wrote it, with its version."""


def _check_json(target: str | None) -> str | None:
    """Refuse a file that cannot be written or must stay, before the command begins."""
    if target is None or target == STANDARD_OUTPUT:
        return target
    from phaseguide.files.atomic import check_place

    path = Path(target)
    if not target.strip() or path.is_dir():
        raise PhaseguideError(
            f"--json {target!r}: is no file name. Give a new file, or - for standard output."
        )
    if os.path.lexists(path) and (reason := _why_json_kept(path)):
        raise OutputError(reason)
    check_place(path)
    return target


def _why_json_kept(path: Path, new: Any = None) -> str:
    """Say why a file may not be replaced by numbers; empty where it holds numbers of an earlier run."""
    refusal = f"{path}: is there already, and no run of Phase Guide wrote numbers to it. It stays; choose another name."
    if path.is_symlink() or not path.is_file():
        return refusal
    try:
        old = read_json(path)
    except (OSError, ValueError):
        return refusal
    if isinstance(old, list):
        rows = [*old, *(new if isinstance(new, list) else ())]
        alike = all(isinstance(row, dict) and set(row) == set(rows[0]) for row in rows)
        return "" if alike and not isinstance(new, dict) else refusal
    return "" if isinstance(old, dict) and isinstance(old.get(MARK), str) else refusal


JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=_check_json,
        help="Write the numbers as JSON to FILE; - is standard output. Only numbers of an earlier run are replaced.",
    ),
]
# Limits of what the dock can set, too, are those of its form where the command line does not take more.
DeviceOption = Annotated[
    str, typer.Option(help="Where to compute: auto, cpu, cuda or mps. auto takes the fastest there is.")
]
RuntimeOption = Annotated[
    str,
    typer.Option(
        help="What runs the network on a CPU before it knows a ratio: torch, onnx (ONNX Runtime, the extra fast-cpu), "
        "or auto, which takes onnx where it is installed, labels agree, and the image has 512 x 512 px or more."
    ),
]
MarginsOption = Annotated[
    bool,
    typer.Option(
        "--exclude-info-bar/--keep-info-bar", help="Leave detected information bars and empty rims out."
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="M", help="Name of a model (see: phaseguide models list) or its file."
    ),
]
UncertaintyOption = Annotated[
    float | None,
    typer.Option(
        metavar="U",
        help="How unsure the ratio is: standard deviation of the logarithm of a phase's share to the rest. "
        "The default, 0.1, makes 10 % to 9.1-10.9 %, and 70 % to 67.9-72.1 %. The mask gets a blend of the "
        "ratio and what the model sees.",
    ),
]
ExactOption = Annotated[
    bool, typer.Option("--exact", help="Take the ratio as exact: the mask gets it to one pixel.")
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        help="Where the ratio acts: matched (mask), conditioned (network) or both. Default: the model's."
    ),
]
TileOption = Annotated[
    int | None,
    typer.Option(
        **TILE,
        metavar="PX",
        help="Largest side in the network at once. Default: what suits the model and the device (Segment Anything: "
        "512 on a CPU, 1024 on a GPU; others: 1920).",
    ),
]
FlipsOption = Annotated[
    bool | None,
    typer.Option(
        "--flips/--no-flips", help="Average over mirrored and zoomed views (slower). Default: the model's."
    ),
]


def page(json_target: str | None) -> Console:
    """Return the console for tables: standard output, unless JSON goes there."""
    from phaseguide.cli.shared.console import PlainConsole

    console = PlainConsole(stderr=json_target == STANDARD_OUTPUT)
    if not console.is_terminal:
        console.width = max(console.width, 100)  # a file or a pipe has no width; rich would take 80
    return console


def say(text: str) -> None:
    """Write a sentence to standard output, as it is."""
    page(None).print(text, soft_wrap=True)


def write_json(target: str | None, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON to a file or to standard output (``-``); None writes nothing.

    An object says that Phase Guide wrote it, so that a later run may replace the file; a list is replaced by one of
    the same kind. `OutputError` if there is a file that the program did not write.
    """
    if target is None:
        return
    from phaseguide import __version__

    told = {MARK: __version__, **data} if isinstance(data, Mapping) else list(data)
    encoded = json_bytes(told)
    if target != STANDARD_OUTPUT:
        from phaseguide.files.atomic import write_together

        path = Path(target)
        write_together({path: encoded}, lambda there: _why_json_kept(there, told))
        return
    sys.stdout.flush()
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None:
        sys.stdout.write(encoded.decode("utf-8"))
    else:
        raw.write(encoded)
        raw.flush()


def make_table(title: str, columns: Iterable[str], *, left: int = 1) -> Table:
    """Return an empty table; the first ``left`` columns are text, the others numbers."""
    from rich import box
    from rich.table import Table

    names = list(columns)
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(names),
    )
    for index, name in enumerate(names):
        table.add_column(name, justify="left" if index < left else "right", no_wrap=index >= left)
    return table


def percent(share: float | None) -> str:
    """Write a share in [0, 1] in percent; an empty text for None."""
    return "" if share is None else f"{share * 100:.2f}"


def share_columns(phase_row: Mapping[str, Any]) -> list[str]:
    """Asked, imposed, achieved and own area % of one phase, as text."""
    return [percent(phase_row[key]) for key in ("asked", "imposed", "achieved", "own")]


def resolve_uncertainty(uncertainty: float | None, exact: bool) -> float:
    """Return the uncertainty that two exclusive options mean; `PhaseguideError` for both, or for no finite number."""
    from phaseguide.evaluation.ratio_source import DEFAULT_UNCERTAINTY

    if uncertainty is not None and not (math.isfinite(uncertainty) and uncertainty >= 0):
        raise PhaseguideError(
            f"--uncertainty {uncertainty}: give a number from 0 (exact) upwards, for example 0.1. "
            "If you know nothing of the ratio, leave it out."
        )
    if exact and uncertainty:
        raise PhaseguideError("--exact and --uncertainty exclude each other. Keep one.")
    if exact:
        return 0.0
    return DEFAULT_UNCERTAINTY if uncertainty is None else uncertainty


def check_mode(mode: str | None) -> Any:
    """Return a mode that a request takes; `PhaseguideError` for any other."""
    if mode not in (None, "matched", "conditioned", "both"):
        raise PhaseguideError(f"Mode {mode!r} is not known. Choose matched, conditioned or both.")
    return mode
