"""Where a value comes from, and how far that makes it believed."""

from __future__ import annotations

import pytest

from phaseguide.errors import RatioError
from phaseguide.ratios import DEFAULT_SOURCE, FORCE, SOURCES, find_source


def test_a_better_source_is_believed_more() -> None:
    uncertainties = {source.key: source.uncertainty for source in SOURCES}
    assert uncertainties == {"field": 0.1, "bulk": 0.2, "visual": 0.3}
    assert DEFAULT_SOURCE == "visual"
    assert [source.scope for source in SOURCES] == ["field", "specimen", "field"]


def test_sources_are_found_by_key_and_force_only_by_those_who_ask() -> None:
    assert find_source(" Bulk ").scope == "specimen"
    assert find_source("force") is FORCE and FORCE.uncertainty == 0
    assert FORCE not in SOURCES
    with pytest.raises(RatioError, match=r"'XRD' is not known.*bulk \(XRD or dilatometry"):
        find_source("XRD")
