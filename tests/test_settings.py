"""Settings are sound from the beginning, and every one that is shown is used."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.settings import Settings, shown_fields
from phaseguide.training.config import TrainingConfig
from phaseguide.widgets.segment.preferences import Advanced

FORMS: tuple[type[Settings], ...] = (TrainingConfig, FinetuneConfig, Advanced)
PACKAGE = Path(__file__).resolve().parents[1] / "src" / "phaseguide"
NUMBERS = [
    (form, name) for form in FORMS for name in form.model_fields if form.about(name).get("low") is not None
]


def attributes_read() -> set[str]:
    """Names of all attributes that the product reads."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        }
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_setting_is_used_somewhere(form: type[Settings]) -> None:
    assert set(form.model_fields) - attributes_read() == set()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_shown_has_words(form: type[Settings]) -> None:
    for name, field in shown_fields(form).items():
        assert field.title and field.description and field.description.endswith("."), name
        assert set(form.about(name)["words"]) <= set(form.choices(name)), name


@given(st.sampled_from(NUMBERS), st.data())
def test_limits_are_kept_and_named(one: tuple[type[Settings], str], data: st.DataObject) -> None:
    form, name = one
    about = form.about(name)
    low, high = about["low"], about["high"]
    whole = isinstance(form.model_fields[name].default, int)
    beyond = st.integers(max_value=int(low) - 1) | st.integers(min_value=int(high) + 1)
    inside: Any = st.integers(int(low), int(high)) if whole else st.floats(low, high)
    if of := about["multiple_of"]:
        inside = st.integers(-(-int(low) // of), int(high) // of).map(lambda n: n * of)
    value = data.draw(inside)
    assert getattr(form(**{name: value}), name) == value
    wrong = data.draw(beyond.filter(lambda n: n != 0 or not about["automatic"]))
    with pytest.raises(TrainingError, match=f"{name} is {wrong}; it must") as told:
        form(**{name: wrong})
    assert f"{low:g}" in str(told.value) or "multiple" in str(told.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": "many"}, "epochs takes a whole number, as 20"),
        ({"epochs": True}, "epochs takes a whole number"),
        ({"guidance_start": "half"}, "guidance_start takes a number or null"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must lie between 1e-08 and 1"),
        ({"learning_rate": float("inf")}, "it must lie between"),
        ({"crop": 100}, "crop is 100; it must be a multiple of 32, for example 96"),
        ({"parts": "all"}, "parts is 'all'; choose fast, adapters or thorough"),
        ({"speed": 3}, "Unknown fine-tuning setting speed. Known are anchor_weight"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        FinetuneConfig(**values)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_settings_come_back_from_json(preset: FinetuneConfig) -> None:
    assert FinetuneConfig.from_dict(preset.to_dict()) == preset
    assert preset.changed(epochs=3).epochs == 3 and preset.changed(epochs=3) != preset
