"""The option ``--phases``: names with commas between them, or a scheme.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme


def named_phases(told: str) -> PhaseScheme:
    """Return the phases that ``--phases`` names; `SchemeError` for names or a file that make no scheme."""
    from phaseguide.phases import PhaseScheme

    if told.lower().endswith(".json"):
        return PhaseScheme.read(told)
    return PhaseScheme.from_names(name.strip() for name in told.split(","))
