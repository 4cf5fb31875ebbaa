"""``phaseguide project edits``, ``ratio``, ``review`` ...: what is known of single fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.project.shared import Folder, open_with
from phaseguide.cli.shared.output import ExactOption, UncertaintyOption, resolve_uncertainty, say
from phaseguide.errors import ProjectError, RatioError

FieldId = Annotated[
    str, typer.Argument(metavar="FIELD", help="Id of a field (see: phaseguide project show).")
]
FieldIds = Annotated[list[str], typer.Argument(metavar="FIELD...", help="Ids of fields.")]


def edits(
    folder: Folder,
    field: FieldId,
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Label map: 0 says nothing, 255 excluded.")
    ],
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Take the whole map for true; else only where it differs from the result."
        ),
    ] = False,
) -> None:
    """Read in labels that were corrected elsewhere.

    \b
    [bold]Examples[/bold]
      phaseguide project edits heat-4711 a corrected.tif
      phaseguide project edits heat-4711 a ground_truth.png --whole
    """  # noqa: D301
    import numpy as np

    from phaseguide.datasets.label_gaps import counts_from_zero
    from phaseguide.micrographs import read_label_map
    from phaseguide.projects.maps import corrected
    from phaseguide.ratios import count_labels

    project, said = open_with(folder), read_label_map(labels)
    if whole:
        project.write_truth(field, said)
        say(f"Field {field}: {np.count_nonzero(said)} px are known.")
        if hint := counts_from_zero(count_labels(said), project.scheme):
            say(f"{labels}: {hint}")
        return
    result, before = project.read_result(field), project.read_edits(field)
    if result is None:
        raise ProjectError(
            f"Field {field!r} has no result that {labels} could differ from. Segment it first (phaseguide project "
            "rerun), or take the map as a whole (--whole)."
        )
    after = corrected(said, result, before)
    changed = np.count_nonzero(after if before is None else after != before)
    if changed:
        project.write_edits(field, after, np.zeros_like(after) if before is None else before)
    say(f"Field {field}: {changed} px of the edits are new.")


def ratio(
    folder: Folder,
    field: FieldId,
    text: Annotated[
        str,
        typer.Argument(
            metavar="RATIO|none",
            help='Area shares, "ferrite=15%,2=0.3", or cells of a spreadsheet, "15;30;".',
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            metavar="field|bulk|visual",
            help="Where it comes from: measured on this field, on the specimen, or judged by eye.",
        ),
    ] = "visual",
    uncertainty: UncertaintyOption = None,
    exact: ExactOption = False,
) -> None:
    """Say what is known of a field's composition. Phases that are left out are open.

    [bold]Example[/bold]: phaseguide project ratio heat-4711 a "martensite=15%" --source field
    """
    import numpy as np

    from phaseguide.projects.schema import AskedRatio
    from phaseguide.ratios import find_source, parse_ratio

    project = open_with(folder)
    if text.strip().lower() == "none":
        project.set_ratio(field, None)
        say(f"Field {field}: no ratio.")
        return
    asked = parse_ratio(text, project.scheme)
    if np.isnan(asked).all():
        raise RatioError(f"Ratio {text!r}: every phase is open. Give at least one a share, or none.")
    stated = exact or uncertainty is not None
    given = AskedRatio(
        shares=[None if np.isnan(share) else float(share) for share in asked],
        uncertainty=resolve_uncertainty(uncertainty, exact) if stated else find_source(source).uncertainty,
        source=source,
    )
    kept = project.set_ratio(field, given).ratio
    assert kept is not None
    say(f"Field {field}: {text}, uncertainty {kept.uncertainty:g} ({find_source(kept.source).title}).")


def review(folder: Folder, fields: FieldIds) -> None:
    """Freeze fields: no prediction, matching or fine-tuning changes them any more.

    [bold]Example[/bold]: phaseguide project review heat-4711 a b
    """
    project = open_with(folder, fields)
    for field in fields:
        project.review(field)


def reject(
    folder: Folder,
    fields: FieldIds,
    reason: Annotated[str, typer.Option(help="Why, for example: out of focus.")],
) -> None:
    """Leave fields out of everything, and say why.

    [bold]Example[/bold]: phaseguide project reject heat-4711 c --reason "out of focus"
    """
    project = open_with(folder, fields)
    for field in fields:
        project.reject(field, reason)


def reopen(folder: Folder, fields: FieldIds) -> None:
    """Make reviewed or rejected fields unreviewed again.

    [bold]Example[/bold]: phaseguide project reopen heat-4711 a
    """
    project = open_with(folder, fields)
    for field in fields:
        project.reopen(field)


def relink(
    folder: Folder, field: FieldId, image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The file.")]
) -> None:
    """Say where the image of a field was moved to.

    [bold]Example[/bold]: phaseguide project relink heat-4711 a /new/place/a.tif
    """
    open_with(folder).relink(field, image)
