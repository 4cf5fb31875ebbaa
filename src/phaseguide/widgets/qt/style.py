"""How a text looks that must be seen."""

from __future__ import annotations

ALARM = "color: #e5484d;"  # readable on napari's dark and light themes
