"""Layers of fields that are not on show, kept for a while so that their undo is there when one comes back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

KEPT_FIELDS = 4
KEPT_BYTES = 400_000_000


@dataclass(frozen=True)
class Parked:
    """Layers of a field in their order, and the result that they show."""

    layers: tuple[Any, ...]
    result: Any


class ParkedLayers:
    """The last few fields; the oldest go when there are too many, or they fill the memory."""

    def __init__(self) -> None:
        self._fields: OrderedDict[str, Parked] = OrderedDict()

    def __contains__(self, field_id: str) -> bool:
        return field_id in self._fields

    def put(self, field_id: str, layers: list[Any], result: Any) -> None:
        """Keep the layers of a field."""
        self._fields[field_id] = Parked(tuple(layers), result)
        self._fields.move_to_end(field_id)
        while len(self._fields) > 1 and (len(self._fields) > KEPT_FIELDS or self._nbytes() > KEPT_BYTES):
            self._fields.popitem(last=False)

    def take(self, field_id: str) -> Parked | None:
        """Return and forget the layers of a field."""
        return self._fields.pop(field_id, None)

    def drop(self, field_id: str) -> None:
        """Forget the layers of a field."""
        self._fields.pop(field_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._fields.clear()

    def _nbytes(self) -> int:
        held = (layer for parked in self._fields.values() for layer in parked.layers)
        return sum(int(getattr(layer.data, "nbytes", 0)) for layer in held)
