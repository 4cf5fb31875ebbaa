"""``phaseguide models``: which models there are, what is in them, adding and removing one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.output import JsonOption, make_table, page, percent, write_json

if TYPE_CHECKING:
    from phaseguide.models.card import Card

models_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="List, show, add and remove models."
)


@models_app.command(name="list")
def list_all(json_target: JsonOption = None) -> None:
    """List the built-in models and yours.

    [bold]Example[/bold]: phaseguide models list
    """
    from phaseguide.models.zoo import list_models, user_model_folder

    entries = list_models()
    table = make_table("Models", ("name", "origin", "phases", "guidance", "size"), left=4)
    rows = []
    for entry in entries:
        card = entry.card
        size = entry.path.stat().st_size / 1e6
        phases = ", ".join(card.scheme.names) if card else entry.problem
        table.add_row(entry.name, entry.origin, phases, card.guidance.kind if card else "", f"{size:.1f} MB")
        rows.append(
            {
                "name": entry.name,
                "origin": entry.origin,
                "file": str(entry.path),
                "size_mb": size,
                "phases": list(card.scheme.names) if card else None,
                "guidance": card.guidance.kind if card else None,
                "problem": entry.problem or None,
            }
        )
    console = page(json_target)
    if rows:
        console.print(table)
    else:
        console.print("There are no models yet. Train one (phaseguide train --help) or add a file.")
    console.print(f"Your models are in {user_model_folder()}", markup=False, soft_wrap=True)
    write_json(json_target, rows)


@models_app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name or file of a model.")],
    json_target: JsonOption = None,
) -> None:
    """Show the card of a model: phases, architecture, training, scores, licence.

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
    phases = make_table("Phases", ("label", "name", "colour", "mean area % in training"), left=3)
    for phase, share in zip(card.scheme, card.training_ratio_mean, strict=True):
        phases.add_row(str(phase.label), phase.name, phase.colour, percent(share))
    console.print(phases)
    write_json(json_target, card.model_dump())


def _card_rows(card: Card, path: Path) -> list[tuple[str, str]]:
    from rich.markup import escape

    size = f"{path.stat().st_size / 1e6:.1f} MB"
    channels = "grey" if card.backbone.in_channels == 1 else f"{card.backbone.in_channels} channels"
    pixel = card.input.pixel_size_um
    images = card.training.get("images", {})
    rows = [
        ("file", f"{path} ({size})"),
        ("description", card.description),
        (
            "network",
            f"{card.backbone.architecture}, encoder {card.backbone.encoder}, guidance {card.guidance.kind}",
        ),
        ("input", channels + (f", {pixel:g} µm a pixel" if pixel else "")),
        (
            "ratio acts",
            card.inference.mode
            + (f", {len(card.inference.views)} views averaged" if len(card.inference.views) > 1 else ""),
        ),
        ("trained on", ", ".join(images.get("train", []))),
        ("validated on", ", ".join(images.get("validation", []))),
        *((f"scores, {name}", _score_text(scores)) for name, scores in card.scores.items()),
        (
            "own error",
            f"{', '.join(f'{e:.2f}' for e in card.calibration.own_error)} ({card.calibration.source})",
        ),
        ("data licence", card.data_licence),
        ("model licence", card.model_licence),
        ("citation", card.citation),
    ]
    return [(key, escape(value)) for key, value in rows if value]


def _score_text(scores: Any) -> str:
    if not isinstance(scores, dict):
        return str(scores)
    nested = [f"{name}: {_score_text(value)}" for name, value in scores.items() if name != "note"]
    if any(isinstance(value, dict) and "dice_mean" in value for value in scores.values()):
        return "; ".join(nested) + (f". {scores['note']}" if "note" in scores else "")
    words = {"dice_mean": "Dice", "miou": "mIoU", "accuracy": "accuracy"}
    known = [
        f"{word} {percent(scores[key])} %"
        for key, word in words.items()
        if isinstance(scores.get(key), float)
    ]
    return ", ".join(known) or str(scores)


@models_app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file (.safetensors).")],
    name: Annotated[str | None, typer.Option(help="Name to choose it by; default: the file's.")] = None,
) -> None:
    """Copy a model file into your models, after checking it completely.

    [bold]Example[/bold]: phaseguide models add bainite.safetensors
    """
    from phaseguide.models.zoo import add_model

    entry = add_model(file, name)
    page(None).print(f"Added {entry.name}: {entry.path}", markup=False, soft_wrap=True)


@models_app.command()
def remove(name: Annotated[str, typer.Argument(help="Name of one of your models.")]) -> None:
    """Delete one of your models. Built-in ones stay.

    [bold]Example[/bold]: phaseguide models remove bainite
    """
    from phaseguide.models.zoo import remove_model

    page(None).print(f"Removed {remove_model(name)}", markup=False, soft_wrap=True)
