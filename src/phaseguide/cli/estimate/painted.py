"""``phaseguide estimate``: area shares with an interval, from what a person painted or named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.images import check_plane, read_image
from phaseguide.cli.shared.limits import PLANE
from phaseguide.cli.shared.named_phases import named_phases
from phaseguide.cli.shared.output import (
    DeviceOption,
    JsonOption,
    MarginsOption,
    ModelOption,
    make_table,
    page,
    percent,
    write_json,
)
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import MicrographError, PhaseguideError

if TYPE_CHECKING:
    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.jobs.painted_share import PaintedPlane
    from phaseguide.phases import PhaseScheme

estimate_app = command_group("Estimate area shares, with an interval, from what you painted or named.")

READINGS = ("extrapolated", "painted")


@estimate_app.callback()
def _group() -> None:
    """Estimate area shares, with an interval, from what you painted or named."""


@estimate_app.command()
def painted(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The micrograph; a stack is pooled.")],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Label map, partly painted: 1..K a phase, 255 excluded, 0 nothing."
        ),
    ],
    model: ModelOption,
    reading: Annotated[
        str,
        typer.Option(
            metavar="extrapolated|painted",
            help="extrapolated: learnt from strokes and corrected, however much of each phase was painted. "
            "painted: what is counted, right for a labelled rectangle or patches put down without looking.",
        ),
    ] = "extrapolated",
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Names of labels 1, 2, ... in FILE, or a scheme.json, where they are not the model's phases. "
            "Shares are of these then; the model only gives its scores.",
        ),
    ] = None,
    plane: Annotated[
        int | None,
        typer.Option(**PLANE, help="One plane of a stack, from 0. Default: all, pooled."),
    ] = None,
    exclude_info_bar: MarginsOption = True,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Estimate area shares from labels that are partly painted.

    A part in which every pixel is labelled, counted with --reading painted,
    has a 95 % interval for the share in the whole field; in a stack, for the
    share in the specimen, with the planes as its fields. Strokes are where
    somebody chose to paint: they carry no interval.

    \b
    [bold]Examples[/bold]
      phaseguide estimate painted steel.tif --labels strokes.tif -m uhcs
      phaseguide estimate painted steel.tif --labels rectangle.tif -m uhcs --reading painted --json -
    """  # noqa: D301
    from phaseguide.jobs.painted_share import estimate_plane, estimate_specimen
    from phaseguide.micrographs.records import record_of_another, result_record
    from phaseguide.models.zoo import open_model

    if reading not in READINGS:
        raise PhaseguideError(f"--reading {reading!r} is not known. Choose {' or '.join(READINGS)}.")
    if (record := result_record(labels)) is not None:
        raise PhaseguideError(
            f"{labels}: was written by the program ({record.name} is its record), so nobody painted it and an "
            "interval would mean nothing. Give the label map of your own strokes; to measure a result, count points: "
            "phaseguide estimate points."
        )
    if (record := record_of_another(labels)) is not None:
        raise PhaseguideError(
            f"{labels}: {record.name} beside it is the record of another label map, so this one was changed or "
            "replaced since the program wrote it. If it is your own painting, give it another name."
        )
    planes = _read_planes(image, labels, plane, exclude_info_bar)
    opened = open_model(model)
    scheme = opened.card.scheme if phases is None else named_phases(phases)
    looking = opened if reading == "extrapolated" else None
    if len(planes) == 1:
        estimate = draw(estimate_plane(planes[0], scheme, looking, device=device))
    else:
        estimate = draw(estimate_specimen(planes, scheme, looking, device=device))
    _show(estimate, scheme, json_target)
    write_json(
        json_target,
        {
            "image": str(image),
            "labels": str(labels),
            "model": opened.card.name,
            "reading": estimate.reading,
            "planes": len(planes),
            "phases": _rows(estimate, scheme),
            "warnings": list(estimate.warnings),
        },
    )


def _read_planes(image: Path, labels: Path, plane: int | None, exclude_bar: bool) -> list[PaintedPlane]:
    from phaseguide.jobs.painted_share import PaintedPlane
    from phaseguide.micrographs.label_maps import read_label_map

    micrograph, painted = read_image(image), read_label_map(labels)
    pixels = micrograph.data if micrograph.is_stack else micrograph.data[None]
    painted = painted if painted.ndim == 3 else painted[None]
    if painted.shape != pixels.shape[:3]:
        raise MicrographError(
            f"{labels} is {_size(painted.shape)} px, but {image} is {_size(pixels.shape[:3])} px. "
            "Use labels that were painted on this image."
        )
    if exclude_bar:
        painted = micrograph.margins.exclude(painted, painted.shape)
    chosen = range(len(pixels)) if plane is None else [plane]
    check_plane(image, len(pixels), chosen[-1])
    many = len(pixels) > 1
    return [
        PaintedPlane(f"{labels}, plane {z}" if many else str(labels), painted[z], pixels[z]) for z in chosen
    ]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape if shape[0] > 1 else shape[1:]))


def _rows(estimate: PaintedEstimate, scheme: PhaseScheme) -> list[dict[str, Any]]:
    """One row a phase; None for what a reading cannot know."""
    from phaseguide.evaluation.tables import plain

    return [
        {
            "phase": phase.name,
            "label": phase.label,
            "area": plain(estimate.shares[k]),
            "low": plain(estimate.low[k]),
            "high": plain(estimate.high[k]),
            "uncertainty": estimate.uncertainty[k],
            "pixels": int(estimate.pixels[k]),
            "blocks": int(estimate.blocks[k]),
        }
        for k, phase in enumerate(scheme)
    ]


def _show(estimate: PaintedEstimate, scheme: PhaseScheme, json_target: str | None) -> None:
    title = "Painted share" if estimate.reading == "painted" else "Extrapolated from strokes"
    table = make_table(title, ("phase", "area %", "95 % interval", "painted px", "blobs"))
    for row in _rows(estimate, scheme):
        interval = "none" if row["low"] is None else f"{percent(row['low'])} - {percent(row['high'])}"
        table.add_row(row["phase"], percent(row["area"]), interval, str(row["pixels"]), str(row["blocks"]))
    page(json_target).print(table)
    for warning in estimate.warnings:
        say_notice(warning)
