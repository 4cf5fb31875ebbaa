"""Options of ``phaseguide train`` that have no part in what is asked for, or say it twice: refused, each by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from phaseguide.errors import TrainingError

if TYPE_CHECKING:
    import typer

    from phaseguide.finetuning.config import FinetuneConfig

OF_A_DATASET = (
    "dataset", "out", "phases", "scheme", "exclude", "validation", "split", "checkpoint", "folds", "architecture",
    "encoder", "encoder_weights", "card", "overwrite",
)  # fmt: skip
OF_A_PROJECT = ("fresh", "use")


def typed(context: typer.Context, keys: Iterable[str]) -> dict[str, Any]:
    """Options as they were typed, without those that were left at their defaults."""
    sources = {key: getattr(context.get_parameter_source(key), "name", "") for key in keys}
    return {key: context.params[key] for key in keys if sources[key] == "COMMANDLINE"}


def refuse_unused(context: typer.Context, keys: Iterable[str], what: str) -> None:
    """Raise `TrainingError` where options were typed that ``what`` is asked for does not use."""
    _refuse(
        [key.upper() if key == "dataset" else f"--{key.replace('_', '-')}" for key in typed(context, keys)],
        what,
    )


def refuse_unused_settings(config: FinetuneConfig, given: Iterable[str]) -> None:
    """Raise `TrainingError` where settings were given that the parts that learn do not use."""
    from phaseguide.finetuning.config import HEAD_SETTINGS

    if config.parts == "score head":
        _refuse([key for key in given if key not in HEAD_SETTINGS], f"preset {config.parts!r}")


def joined(typed: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options and what ``--set`` says, which must not differ."""
    for key in typed:
        if settings.get(key, typed[key]) != typed[key]:
            raise TrainingError(
                f"{key} is {typed[key]!r} by an option, but {settings[key]!r} by --set. Keep one of the two."
            )
    return {**typed, **settings}


def _refuse(names: list[str], what: str) -> None:
    if names:
        them = "it" if len(names) == 1 else "them"
        raise TrainingError(f"{', '.join(names)}: not used with {what}. Leave {them} out.")
