"""What the workbench shows: its step, a part that is open within a step, and what is worked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made
from typing import ClassVar, Literal

from psygnal import SignalGroupDescriptor

Step = Literal["image", "segment", "correct", "teach", "report"]

Part = Literal["project", "models", "new_material", "point_count"]
"""What opens within a step, in the place of its page."""

STEPS: dict[Step, tuple[str, str]] = {
    "image": ("Image", "Choose the micrograph, or a project with many, and the model."),
    "segment": ("Segment", "Say what you know of the phases, and let the model find them."),
    "correct": ("Correct", "Look where the result may be wrong, and paint over what is."),
    "teach": ("Teach", "Let the model learn from what you painted, or make one for another material."),
    "report": ("Report", "Take tables, pictures and label maps along, and check them by counting points."),
}
"""Title and tip of each step, in the order of the work."""

PARTS: dict[Part, tuple[Step, str]] = {
    "project": ("image", "Project"),
    "models": ("image", "Models"),
    "new_material": ("image", "New material"),
    "point_count": ("report", "Point count"),
}
"""The step that each part stands in, and its title."""

TORN_OFF: tuple[Part, ...] = ("project", "models")
"""Parts that can stand in a window of their own. A point count is blind: it hides the phase table."""


@dataclass
class WorkbenchState:
    """A signal of ``events`` tells of each field that changes, in the GUI thread.

    Attributes
    ----------
    step : str
        The step on show.
    within : mapping of str to str
        For each step in which a part is open, that part.
    torn_off : frozenset of str
        Parts that stand in a window of their own.
    table_hidden : frozenset of str
        Steps in which the user needs the phase table less than its room.
    image, field, model, device : str
        What is worked on, as the header names it; empty for nothing. ``field`` is "Field 3 of 12" of a project.
    """

    step: Step = "image"
    within: Mapping[Step, Part] = made(default_factory=dict)
    torn_off: frozenset[Part] = frozenset()
    table_hidden: frozenset[Step] = frozenset({"teach"})
    image: str = ""
    field: str = ""
    model: str = ""
    device: str = ""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(connect_child_events=False)

    @property
    def part(self) -> Part | None:
        """The part that is open within the step on show."""
        return self.within.get(self.step)

    @property
    def table_shown(self) -> bool:
        """Whether the phase table is seen: beside a point count, which is blind, its numbers are not."""
        return self.part in (None, "project") and self.step not in self.table_hidden

    def show_step(self, step: Step) -> None:
        """Show a step, with the part that is open within it."""
        self.step = step

    def show_part(self, part: Part) -> None:
        """Open a part within its step."""
        step, _ = PARTS[part]
        self.within = {**self.within, step: part}
        self.step = step

    def tear_off(self, part: Part) -> None:
        """Give a part a window of its own."""
        self.close_part(part)
        self.torn_off = self.torn_off | {part}

    def take_back(self, part: Part) -> None:
        """Give a part its place in its step again."""
        self.torn_off = self.torn_off - {part}

    def close_part(self, part: Part) -> None:
        """Show the page of a step in the place of a part."""
        self.within = {step: one for step, one in self.within.items() if one != part}

    def turn_table(self) -> None:
        """Hide the phase table in the step on show, or show it."""
        self.table_hidden = self.table_hidden ^ {self.step}
