"""``phaseguide models``: which models there are, what is in them; to add, copy, share and delete one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseguide.cli.models.network import (
    as_json,
    count_parameters,
    merge_files,
    network_rows,
    parameter_table,
)
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.images import read_image
from phaseguide.cli.shared.output import JsonOption, make_table, page, percent, say, write_json
from phaseguide.errors import ModelError

if TYPE_CHECKING:
    from phaseguide.models.card import Card

NameArgument = Annotated[str, typer.Argument(help="Name or file of a model.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A model file (.safetensors).")]
TargetArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A new .safetensors file.")]
NewName = Annotated[str | None, typer.Option(help="Name to choose it by; default: the file's.")]

models_app = command_group("List, show, add, copy, merge, share, delete and restore models.")


@models_app.command(name="list")
def list_all(json_target: JsonOption = None) -> None:
    """List the built-in models and yours.

    [bold]Example[/bold]: phaseguide models list
    """
    from phaseguide.folders import user_model_folder
    from phaseguide.models.summary import parent_name
    from phaseguide.models.zoo import list_models

    entries = list_models()
    table = make_table(
        "Models", ("name", "origin", "phases", "guidance", "version", "parent", "size"), left=6
    )
    rows = []
    for entry in entries:
        card = entry.card
        size = _megabytes(entry.path)
        phases = "; ".join(t for t in (", ".join(card.scheme.names) if card else "", entry.problem) if t)
        parent, told = parent_name(card) if card else "", "" if size is None else f"{size:.1f} MB"
        guidance, version = (card.guidance.kind, card.version) if card else ("", "")
        table.add_row(entry.name, entry.origin, phases, guidance, version, parent, told)
        rows.append(
            {
                "name": entry.name,
                "origin": entry.origin,
                "file": str(entry.path),
                "size_mb": size,
                "phases": list(card.scheme.names) if card else None,
                "guidance": card.guidance.kind if card else None,
                "version": card.version if card else None,
                "parent": parent or None,
                "problem": entry.problem or None,
            }
        )
    console = page(json_target)
    if rows:
        console.print(table)
    else:
        console.print("There are no models yet. Train one (phaseguide train --help) or add a file.")
    console.print(f"Your models are in {user_model_folder()}", soft_wrap=True)
    write_json(json_target, rows)


def _megabytes(path: Path) -> float | None:
    """Size of a file; None for a link that leads nowhere, or a file that is gone by now."""
    try:
        return path.stat().st_size / 1e6
    except OSError:
        return None


@models_app.command()
def show(
    name: NameArgument,
    json_target: JsonOption = None,
) -> None:
    """Show the card of a model: phases, architecture, parameters, training, scores, licence.

    [bold]Example[/bold]: phaseguide models show uhcs
    """
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model

    path = find_model(name)
    card = read_card(path)
    console = page(json_target)
    table = make_table(f"{card.name} {card.version}", ("", ""), left=2)
    for key, value in _card_rows(card, path):
        table.add_row(key, value)
    console.print(table)
    counts, reason = count_parameters(card)
    if counts:
        console.print(parameter_table(counts))
    else:
        console.print(f"Parameters were not counted: {reason}", soft_wrap=True)
    phases = make_table("Phases", ("label", "name", "colour", "mean area % in training"), left=3)
    for phase, share in zip(card.scheme, card.training_ratio_mean, strict=True):
        phases.add_row(str(phase.label), phase.name, phase.colour, percent(share))
    console.print(phases)
    write_json(json_target, card.model_dump() | {"parameters": as_json(counts)})


def _card_rows(card: Card, path: Path) -> list[tuple[str, str]]:
    from phaseguide.models.summary import parent_name, score_text

    size = f"{path.stat().st_size / 1e6:.1f} MB"
    channels = "grey" if card.backbone.in_channels == 1 else f"{card.backbone.in_channels} channels"
    pixel = card.input.pixel_size_um
    images = card.training.get("images", {})
    rows = [
        ("file", f"{path} ({size})"),
        ("description", card.description),
        *network_rows(card),
        ("input", channels + (f", {pixel:g} µm a pixel" if pixel else "")),
        (
            "ratio acts",
            card.inference.mode
            + (f", {len(card.inference.views)} views averaged" if len(card.inference.views) > 1 else "")
            + (", all but the first where it is unsure" if card.inference.unsure_below else ""),
        ),
        ("parent", parent_name(card)),
        ("trained on", ", ".join(images.get("train", []))),
        ("validated on", ", ".join(images.get("validation", []))),
        *((f"scores, {name}", score_text(scores)) for name, scores in card.scores.items()),
        (
            "own error",
            "in the logarithm of phase : rest, root mean square: "
            + ", ".join(
                f"{phase.name} {error:.2f}"
                for phase, error in zip(card.scheme, card.calibration.own_error, strict=True)
            )
            + f" ({card.calibration.source})",
        ),
        ("data licence", card.data_licence),
        ("model licence", card.model_licence),
        ("citation", card.citation),
    ]
    return [(key, value) for key, value in rows if value]


@models_app.command()
def add(file: FileArgument, name: NewName = None) -> None:
    """Copy a model file into your models, after checking it completely. The same as import.

    [bold]Example[/bold]: phaseguide models add bainite.safetensors
    """
    from phaseguide.models.zoo import add_model

    entry = add_model(file, name)
    say(f"Added {entry.name}: {entry.path}")


@models_app.command(name="import")
def import_(file: FileArgument, name: NewName = None) -> None:
    """Copy a model file that you were given into your models, after checking it completely.

    [bold]Example[/bold]: phaseguide models import bainite.safetensors --name bainite-lab2
    """
    add(file, name)


@models_app.command(name="save-as")
def save_as(
    name: NameArgument,
    new_name: Annotated[str, typer.Argument(metavar="NEW-NAME", help="Name of the copy.")],
) -> None:
    """Copy a model among yours under another name.

    [bold]Example[/bold]: phaseguide models save-as uhcs uhcs-lab2
    """
    from phaseguide.models import sharing
    from phaseguide.models.zoo import find_model

    entry = sharing.save_as(find_model(name), new_name)
    say(f"Saved as {entry.name}: {entry.path}")


@models_app.command()
def export(name: NameArgument, file: TargetArgument) -> None:
    """Write a copy of a model to a file, byte for byte. A file that is there already stays.

    [bold]Example[/bold]: phaseguide models export bainite backup/bainite.safetensors
    """
    from phaseguide.models.sharing import export_model
    from phaseguide.models.zoo import find_model

    say(f"Exported {export_model(find_model(name), file)}")


@models_app.command()
def merge(name: NameArgument, file: TargetArgument) -> None:
    """Write a model of Segment Anything with its adapters merged into the base weights, as one larger file.

    That file needs no base weights, so it suits a machine that has none. A file that is there already stays.

    [bold]Example[/bold]: phaseguide models merge bainite-sam bainite-sam-merged.safetensors
    """
    from phaseguide.models.zoo import find_model

    merge_files(find_model(name), file)


@models_app.command()
def share(
    name: NameArgument,
    file: TargetArgument,
    title: Annotated[
        str | None, typer.Option("--name", help="Name in the card; default: the model's.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the model is for.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the model, for example CC-BY-4.0.")] = None,
    data_licence: Annotated[str | None, typer.Option(help="Licence of what it was trained on.")] = None,
    cite: Annotated[str | None, typer.Option(help="What to cite.")] = None,
) -> None:
    """Write a model as one file to hand over, with a card that is filled in.

    What you leave out stays as the card has it; a description and a licence are needed. Whoever gets the file
    adds it with: phaseguide models import FILE.

    [bold]Example[/bold]: phaseguide models share bainite bainite.safetensors --licence CC-BY-4.0
    """
    from dataclasses import replace

    from phaseguide.models.model_file import read_card
    from phaseguide.models.sharing import ShareText, share_model
    from phaseguide.models.zoo import find_model

    path = find_model(name)
    given = {
        "name": title or path.stem, "description": description, "model_licence": licence,
        "data_licence": data_licence, "citation": cite,
    }  # fmt: skip
    known = ShareText.from_card(read_card(path))
    text = replace(known, **{key: value for key, value in given.items() if value is not None})
    say(f"Wrote {share_model(path, file, text)}")


@models_app.command()
def bioimageio(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new .zip file.")],
    author: Annotated[list[str], typer.Option(help="Who made the model; several times for several.")],
    licence: Annotated[str, typer.Option(help="SPDX licence; default: what the card's begins with.")] = "",
    cite: Annotated[str, typer.Option(help="What to cite, with a DOI; default: the card's.")] = "",
    image: Annotated[
        Path | None, typer.Option(help="Micrograph for the test arrays and the cover; default: a sample.")
    ] = None,
) -> None:
    """Write a package for bioimage.io: the network without a ratio, as TorchScript, checked by loading it.

    [bold]Example[/bold]: phaseguide models bioimageio uhcs uhcs.zip --author "A. Metallographer"
    """
    from phaseguide.models.bioimageio.description import PackageText
    from phaseguide.models.bioimageio.export import example_image, export_bioimageio
    from phaseguide.models.zoo import open_model
    from phaseguide.segmentation.network.channels import fit_channels

    model = open_model(name)
    if image is None:
        pixels, image_name = example_image(model.card)
    else:
        micrograph = read_image(image)
        if micrograph.is_stack:
            raise ModelError(f"{image}: is a stack. Give one image.")
        rows = slice(micrograph.info_bar_rows_top, micrograph.data.shape[0] - micrograph.info_bar_rows)
        pixels = fit_channels(micrograph.data[rows], model.segmenter.in_channels, image.name)
        image_name = image.stem
    text = PackageText(tuple(author), licence, cite)
    say(f"Wrote {export_bioimageio(model, file, text, pixels, image_name)}")


@models_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of one of your models.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete one of your models: it goes to the recycle folder. Built-in ones stay.

    [bold]Example[/bold]: phaseguide models remove bainite
    """
    from phaseguide.models.recycle import recycle_model
    from phaseguide.models.zoo import user_model_path

    user_model_path(name)  # what cannot be deleted is not asked about
    if not yes:
        typer.confirm(f"Delete the model {name}? It goes to the recycle folder.", abort=True)
    recycled = recycle_model(name)
    say(
        f"Removed {name}; it waits in {recycled.path.parent}. Bring it back with: phaseguide models restore {name}"
    )


@models_app.command()
def restore(
    name: Annotated[str | None, typer.Argument(help="Name of a deleted model; none: list them.")] = None,
    new_name: Annotated[str | None, typer.Option("--as", help="Another name for it.")] = None,
    json_target: JsonOption = None,
) -> None:
    """Bring back a model that you deleted, of several by one name the latest; without a name, list them.

    [bold]Example[/bold]: phaseguide models restore bainite --as bainite-old
    """
    from phaseguide.models.recycle import list_recycled, recycle_folder, restore_model

    recycled = list_recycled()
    if name is None:
        table = make_table("Deleted models", ("name", "deleted", "phases"), left=3)
        for model in recycled:
            phases = ", ".join(model.card.scheme.names) if model.card else ""
            table.add_row(model.name, f"{model.deleted:%Y-%m-%d %H:%M:%S}", phases)
        console = page(json_target)
        console.print(table if recycled else f"No model was deleted. They would wait in {recycle_folder()}")
        write_json(
            json_target,
            [{"name": m.name, "deleted": m.deleted.isoformat(), "file": str(m.path)} for m in recycled],
        )
        return
    found = next((model for model in recycled if model.name == name), None)
    if found is None:
        known = ", ".join(sorted({model.name for model in recycled})) or "none"
        raise ModelError(f"There is no deleted model {name!r}. Deleted models: {known}.")
    entry = restore_model(found, new_name)
    say(f"Restored {entry.name}: {entry.path}")
