"""What ``phaseguide train`` is told beside options: ``--set key=value``, and entries for the card from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ModelError, TrainingError
from phaseguide.files.json_files import parse_json, read_json

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from phaseguide.models.card import Card, InferenceCard
    from phaseguide.phases import PhaseScheme
    from phaseguide.settings import Settings

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


def parse_settings(pairs: list[str], form: type[Settings]) -> dict[str, Any]:
    """Read ``key=value`` pairs of a form; `TrainingError` names the pair that cannot be meant."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in form.model_fields:
            raise TrainingError(
                f"--set {pair!r}: write key=value with a key out of {', '.join(sorted(form.model_fields))}."
            )
        try:
            values[key] = getattr(form(**{key: _value(text, form.model_fields[key])}), key)
        except TrainingError as error:
            raise TrainingError(f"--set {pair!r}: {error}") from None
    return values


def parse_split(text: str | None) -> dict[str, float]:
    """Read ``70/20/10``: percent of the images to learn from, to validate on, and to test on (may be left out)."""
    if text is None:
        return {}
    try:
        parts = [float(part.strip().removesuffix("%")) for part in text.split("/")]
    except ValueError:
        parts = []
    whole = abs(sum(parts) - 100) <= 0.01  # false where a part is no number
    if len(parts) not in (2, 3) or not whole or min(parts) < 0 or not all(parts[:2]):
        raise TrainingError(
            f"--split {text!r}: give percent to learn from, to validate on, and to test on, 100 in all, for example "
            "70/20/10, or 80/20 without a test."
        )
    test = parts[2] if len(parts) == 3 else 0.0
    return {"validation_share": parts[1] / 100, "test_share": test / 100}


def _value(text: str, field: FieldInfo) -> Any:
    """What a text means for a field: itself, a list with commas, or JSON."""
    if isinstance(field.default, str):
        return text.strip()
    if isinstance(field.default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return parse_json(text)
    except ValueError:
        return text.strip()


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
