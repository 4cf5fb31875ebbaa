"""Settings as one form each: defaults, limits and words of every field, which forms, ``--set`` and help read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from phaseguide.errors import PhaseguideError, TrainingError

AUTOMATIC = 0
"""Of a number that may be left to the program."""

_KINDS = {
    "dict_type": "a JSON object",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "tuple_type": "a list of texts",
    "list_type": "a list",
}


def setting(
    default: Any,
    title: str = "",
    tip: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    multiple_of: int | None = None,
    step: float = 1,
    decimals: int = 0,
    unit: str = "",
    percent: bool = False,
    automatic: bool = False,
    words: Mapping[str, str] | None = None,
    example: str = "",
    lines: int = 1,
) -> Any:
    """One field of `Settings`: its default, its limits (both allowed), and the words of a form, which shows no field
    without a title.

    ``step``, ``decimals`` and ``unit`` say how a form changes and writes the number, a ``percent`` being a share in
    [0, 1]. ``automatic`` allows 0 beside the limits, which leaves the choice to the program. ``words`` are what a form
    calls each choice, and a message 0 of such a number. ``example`` stands in the place of an empty text, which has
    ``lines`` lines.
    """
    about: Any = {
        "step": step, "decimals": decimals, "unit": unit, "percent": percent, "words": dict(words or {}),
        "automatic": automatic, "low": low, "high": high, "multiple_of": multiple_of, "example": example,
        "lines": lines,
    }  # fmt: skip
    least = 0 if automatic else low
    field: Any = Field(
        default=default, title=title or None, description=tip or None, ge=least, le=high, multiple_of=multiple_of,
        json_schema_extra={"about": about},
    )  # fmt: skip
    return field


class Settings(BaseModel):
    """Base of a set of settings: a value that cannot be changed, and is sound from the beginning.

    An error of the class `error` names the key that is not known, or whose value is of another type or out of its
    limits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
    # Built when first used: a command whose help only names defaults and limits need not wait for it.

    error: ClassVar[type[PhaseguideError]] = TrainingError
    kind: ClassVar[str] = "setting"
    """What a key is called in messages."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.error(_sentence(type(self), error)) from None

    @field_validator("*")
    @classmethod
    def _automatic_or_within(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic knows one range a field, and *automatic* lies outside of it."""
        about = cls.about(str(info.field_name))
        if about.get("automatic") and AUTOMATIC < value < about["low"]:
            raise ValueError(_out_of_limits(str(info.field_name), value, about))
        return value

    def changed(self, **values: Any) -> Self:
        """Return these settings with other values for some."""
        return type(self)(**{**dict(self), **values})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises as the class does."""
        return cls(**data)

    @classmethod
    def about(cls, name: str) -> dict[str, Any]:
        """Return limits and manners of a field, as `setting` took them."""
        extra: Any = cls.model_fields[name].json_schema_extra
        return dict(extra["about"]) if extra else {}

    @classmethod
    def default(cls, name: str) -> Any:
        """Return what a field is where nothing is said."""
        return cls.model_fields[name].get_default(call_default_factory=True)

    @classmethod
    def choices(cls, name: str) -> tuple[str, ...]:
        """Return what a field can be, if that is one of some words; else nothing."""
        annotation = cls.model_fields[name].annotation
        return get_args(annotation) if get_origin(annotation) is Literal else ()


def shown_fields(form: type[Settings]) -> dict[str, FieldInfo]:
    """Fields that have a title, in their order."""
    return {name: field for name, field in form.model_fields.items() if field.title}


def _sentence(form: type[Settings], error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    problems = error.errors(include_url=False)
    foreign = sorted(str(problem["loc"][0]) for problem in problems if problem["type"] == "extra_forbidden")
    if foreign:
        return f"Unknown {form.kind} {', '.join(foreign)}. Known are {', '.join(sorted(form.model_fields))}."
    first = problems[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name, value = str(first["loc"][0]), first["input"]
    if choices := form.choices(name):
        named = [choice for choice in choices if choice]
        left_out = ", or leave it out" if len(named) < len(choices) else ""
        listed = " or ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
        return f"{name} is {value!r}; choose {listed}{left_out}."
    about, kind = form.about(name), first["type"]
    if kind == "multiple_of":
        of = int(about["multiple_of"])
        return f"{name} is {value}; it must be a multiple of {of}, for example {int(value) // of * of or of}."
    if kind in _KINDS:
        usual = form.default(name)
        return f"{name} takes {_KINDS[kind]}{' or null' if usual is None else ''}, as {usual!r}."
    if about.get("low") is not None:
        return _out_of_limits(name, value, about)
    return f"{name}: {first['msg']}."


def _out_of_limits(name: str, value: Any, about: Mapping[str, Any]) -> str:
    limits = f"{name} is {value}; it must lie between {about['low']:g} and {about['high']:g}"
    if not about["automatic"]:
        return f"{limits}."
    return f"{limits}, or be {AUTOMATIC} ({about['words'].get(str(AUTOMATIC), 'automatic')})."
