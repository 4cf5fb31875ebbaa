"""Settings are sound from the beginning, and every one that is shown is used."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide import option_values
from phaseguide.cli.evaluate import evaluate
from phaseguide.cli.segment import segment
from phaseguide.cli.train.dataset import train
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.synthetic.settings import SyntheticSettings
from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.ratios.sources import SOURCES
from phaseguide.segmentation.settings import Advanced
from phaseguide.settings import Settings, shown_fields
from phaseguide.training.config import TrainingConfig
from phaseguide.training.presets import TRAINING_PRESETS
from phaseguide.widgets.segment.preferences import PREFERRED, read_preferences, worded

FORMS: tuple[type[Settings], ...] = (
    TrainingConfig,
    FinetuneConfig,
    Advanced,
    LayoutOptions,
    SyntheticSettings,
)
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
        about = form.about(name)
        assert set(about["words"]) <= {*form.choices(name), *(["0"] if about["automatic"] else [])}, name


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
    with pytest.raises(form.error, match=f"{name} is {wrong}; it must") as told:
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
        ({"parts": "all"}, "parts is 'all'; choose fast, adapters, thorough or score head"),
        ({"guidance": "nonsense"}, "choose none, additive, spatial, plm or ccrm, or leave it out."),
        ({"guidance": "refine"}, "'refine', which is learnt from models of folds and so only on a data set"),
        ({"guidance_scales": 17}, "it must lie between 1 and 16, or be 0 "),
        ({"speed": 3}, "Unknown fine-tuning setting speed. Known are anchor_weight"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        FinetuneConfig(**values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crossfit": 1}, r"crossfit is 1; it must lie between 2 and 100, or be 0 \(no cross-fitting\)\."),
        ({"protocol": "mine"}, "protocol is 'mine'; choose published, or leave it out."),
    ],
)
def test_zero_and_the_empty_word_are_named_by_what_they_mean(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        TrainingConfig(**values)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_settings_come_back_from_json(preset: FinetuneConfig) -> None:
    assert FinetuneConfig.from_dict(preset.to_dict()) == preset
    assert preset.changed(epochs=3).epochs == 3 and preset.changed(epochs=3) != preset


@pytest.mark.parametrize("name", PREFERRED)
def test_napari_offers_what_the_form_says(name: str) -> None:
    """Default, choices and limits of a preference are those of the form, where 0 may stand for automatic."""
    yaml = pytest.importorskip("yaml", reason="comes with napari")
    manifest = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))
    offered = manifest["contributions"]["configurations"]["segment"]["properties"]
    assert set(offered) == {*PREFERRED, "usual_source"}
    one, about, usual = offered[name], Advanced.about(name), Advanced.default(name)
    words = worded(name)
    assert one["default"] == words.get(usual, usual) and one["title"]
    assert one["type"] == {str: "string", int: "integer", bool: "boolean", float: "number"}[type(usual)]
    assert list(one.get("enum", ())) == list(words.values()), "words, and no codes"
    assert one.get("minimum") == (0 if about["automatic"] else about["low"])
    assert one.get("maximum") == about["high"]
    Advanced(**{name: usual})
    assert offered["usual_source"]["enum"] == [source.title for source in SOURCES]


def test_a_preference_that_cannot_be_meant_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pytest.importorskip("napari.settings")
    stored = SimpleNamespace(device="cpu", tile=100, memory_mb=512)
    monkeypatch.setattr(
        settings, "get_plugin_settings", lambda _: SimpleNamespace(segment=stored), raising=False
    )
    assert read_preferences()[0] == Advanced(device="cpu", memory_mb=512)


COMMANDS: dict[str, Any] = {"segment": segment, "evaluate": evaluate, "train": train}
SAME_LIMITS = [
    ("segment", "tile", Advanced, "tile"),
    ("train", "seed", TrainingConfig, "seed"),
    ("train", "threads", TrainingConfig, "threads"),
]
WIDER = [
    ("segment", "smoothing", Advanced, "smoothing_px"),
    ("segment", "min_island", Advanced, "min_island_px"),
    ("segment", "embeddings_gb", Advanced, "embeddings_gb"),
    ("train", "epochs", TrainingConfig, "epochs"),
    ("train", "batch", TrainingConfig, "batch"),
    ("train", "patience", TrainingConfig, "patience"),
]
"""The command line takes more than a spin box should offer, or leaves the largest value to the form."""
PLAIN = [
    ("segment", "device", Advanced, "device"),
    ("evaluate", "device", Advanced, "device"),
    ("train", "device", TrainingConfig, "device"),
    ("train", "crop", TrainingConfig, "crop"),
    ("train", "learning_rate", TrainingConfig, "learning_rate"),
    ("train", "architecture", TrainingConfig, "architecture"),
    ("train", "encoder", TrainingConfig, "encoder"),
    ("train", "guidance", TrainingConfig, "guidance"),
]


@pytest.mark.parametrize(("command", "option", "form", "name"), [*SAME_LIMITS, *WIDER, *PLAIN])
def test_options_say_what_the_form_says(command: str, option: str, form: type[Settings], name: str) -> None:
    parameter = inspect.signature(COMMANDS[command], eval_str=True).parameters[option]
    assert parameter.default in (form.default(name), None)
    (said,) = parameter.annotation.__metadata__
    about, low, high = form.about(name), said.min, said.max
    if (command, option, form, name) in SAME_LIMITS:
        assert (low, high) == (about["low"], about["high"])
    elif (command, option, form, name) in WIDER:
        assert low is not None and low <= about["low"] and (high is None or high >= about["high"])
    elif about:
        assert low is None and high is None


def test_what_help_shows_is_what_the_forms_have() -> None:
    assert tuple(PRESETS) == option_values.FINETUNE_PRESETS
    assert tuple(TRAINING_PRESETS) == option_values.TRAINING_PRESETS
