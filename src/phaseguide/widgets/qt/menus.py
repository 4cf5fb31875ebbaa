"""Entries of menus."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu


def add_entry(
    menu: QMenu, text: str, call: Callable[[], object] | None = None, *, enabled: bool = True, tip: str = ""
) -> None:
    """Append an entry to a menu, which owns it; without ``call`` it only says something."""
    action = QAction(text, menu)
    action.setEnabled(enabled)
    action.setToolTip(tip)
    if call is not None:
        action.triggered.connect(lambda _=False: call())
    menu.addAction(action)
