"""What ``phaseguide train`` is told beside options: ``--set key=value``, and entries for the card from a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ModelError, TrainingError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.json_files import parse_json, read_json
from phaseguide.training.config import TrainingConfig

if TYPE_CHECKING:
    from phaseguide.models.card import Card, InferenceCard
    from phaseguide.phases import PhaseScheme

_LARGE = 10**300
CARD_KEYS = (
    "description",
    "version",
    "input",
    "inference",
    "calibration",
    "scores",
    "data_licence",
    "model_licence",
    "citation",
)


def parse_settings(
    pairs: list[str], form: type[TrainingConfig] | type[FinetuneConfig] = TrainingConfig
) -> dict[str, Any]:
    """Read ``key=value`` pairs of a form; each value must be of its default's type.

    Raises
    ------
    TrainingError
        Not a pair, an unknown key, or a value of another type.
    """
    fields, defaults = {f.name for f in dataclasses.fields(form)}, form()
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in fields:
            raise TrainingError(
                f"--set {pair!r}: write key=value with a key out of {', '.join(sorted(fields))}."
            )
        default = getattr(defaults, key)
        try:
            value: Any = parse_json(text)
        except ValueError:
            value = text.strip()
        if isinstance(default, float) and type(value) is int and abs(value) < _LARGE:
            value = float(value)
        if isinstance(default, str):
            value = text.strip()
        if isinstance(default, tuple):
            value = tuple(part.strip() for part in text.split(",") if part.strip())
        if default is None and type(value) in (int, float) and abs(value) < _LARGE:
            default = value = float(value)
        if type(value) is not type(default):
            kind = {
                "dict": "a JSON object",
                "bool": "true or false",
                "int": "a whole number",
                "float": "a number",
                "NoneType": "a number or null",
            }
            raise TrainingError(
                f"--set {pair!r}: {key} takes {kind[type(default).__name__]}, as {default!r}."
            )
        values[key] = value
    return values


def read_card_entries(path: Path | None) -> dict[str, Any]:
    """Read entries for a card from a JSON file; none where there is no file."""
    if path is None:
        return {}
    try:
        entries = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a JSON file that can be read ({error}).") from error
    foreign = sorted(set(entries) - set(CARD_KEYS)) if isinstance(entries, dict) else ["?"]
    if foreign:
        raise ModelError(f"{path}: {', '.join(foreign)} cannot be set. Use {', '.join(CARD_KEYS)}.")
    return dict(entries)


def read_inference(path: Path | None) -> InferenceCard | None:
    """Read the entry ``inference`` of a card file; None where there is no file or no such entry."""
    from pydantic import ValidationError

    from phaseguide.models.card import InferenceCard
    from phaseguide.models.model_file import first_reason

    entries = read_card_entries(path)
    try:
        return InferenceCard.model_validate(entries["inference"]) if "inference" in entries else None
    except ValidationError as error:
        raise ModelError(f"{path}: not valid in a card: {first_reason(error)}") from error


def with_entries(card: Card, entries: dict[str, Any], path: Path | None) -> Card:
    """Return a card with entries of a file in the place of its own."""
    from phaseguide.models.model_file import check_card

    if not entries:
        return card
    merged = {**card.model_dump(), **entries}
    if isinstance(scores := merged["scores"], dict):
        merged["scores"] = {**card.scores, **scores}
    try:
        return check_card(merged)
    except ModelError as error:
        raise ModelError(f"{path}: not valid in a card: {error}") from error


def checked_entries(path: Path | None, scheme: PhaseScheme) -> dict[str, Any]:
    """Read entries of a file; `ModelError` now if they will not fit into the card of a model of these phases."""
    from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard

    entries, k = read_card_entries(path), len(scheme)
    card = Card(
        name="",
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(architecture="unet", encoder="resnet18", in_channels=1),
        guidance=GuidanceCard(kind="none"),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.0] * k,
        calibration=CalibrationCard(own_error=[0.0] * k),
    )
    with_entries(card, entries, path)
    return entries
