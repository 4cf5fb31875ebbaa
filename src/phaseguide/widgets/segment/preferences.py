"""The user's preferences, and what the advanced options mean for a session."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.session_store import Options
from phaseguide.ratios.sources import DEFAULT_SOURCE, SOURCES
from phaseguide.segmentation.settings import Advanced

PLUGIN = "napari-phaseguide"

PREFERRED = ("device", "runtime", "flips", "tile", "memory_mb", "keep_embeddings", "embeddings_gb")
"""Fields of `Advanced` that ``napari.yaml`` offers among napari's preferences."""


def worded(name: str) -> dict[str, str]:
    """Return what a preference reads for each choice of a field: words, and no codes."""
    words = Advanced.about(name).get("words", {})
    return {code: words.get(code, code) for code in Advanced.choices(name)}


def session_options(advanced: Advanced) -> Options:
    """Return what a session is made with."""
    flips = {"model": None, "on": True, "off": False}[advanced.flips]
    kept = advanced.embeddings_gb if advanced.keep_embeddings else None
    return Options(
        advanced.device,
        advanced.tile or None,
        flips,
        advanced.invert,
        advanced.memory_mb,
        kept,
        advanced.runtime,
    )


def read_preferences() -> tuple[Advanced, str]:
    """Return the advanced options and the source that the user prefers, from napari's preferences.

    Without them (a napari before 0.9, or the plugin not registered) the defaults.
    """
    try:
        from napari.settings import get_plugin_settings

        stored = get_plugin_settings(PLUGIN).segment
    except (ImportError, KeyError, AttributeError):
        return Advanced(), DEFAULT_SOURCE
    chosen: dict[str, Any] = {}
    for name in PREFERRED:
        # A tile side of 100 px, say: napari's form knows one range, and 0, which is automatic, begins it.
        with suppress(PhaseguideError, AttributeError):
            value = getattr(stored, name)
            meant: Any = next((code for code, words in worded(name).items() if words == value), value)
            chosen[name] = getattr(Advanced(**{name: meant}), name)
    usual = str(getattr(stored, "usual_source", ""))
    source = next((one.key for one in SOURCES if usual in (one.title, one.key)), DEFAULT_SOURCE)
    return Advanced(**chosen), source
