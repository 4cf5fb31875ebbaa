"""An extension of griffe for the site: shapes in docstrings stay as they were written.

``ndarray, shape (K,)`` happens to be an expression of Python, and would be shown as ``(ndarray, shape(K))``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Shapes(griffe.Extension):
    """Turns ``ndarray, shape (K,)`` into ``ndarray of shape (K,)``, which is text to griffe."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"\b(ndarray|array_like), shape \(", r"\1 of shape (", obj.docstring.value
            )
