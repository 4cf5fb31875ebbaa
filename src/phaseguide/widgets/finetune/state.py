"""What the parts of the step Teach share: where its work stands, what they tell the user, the image in work."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psygnal import SignalGroupDescriptor
from qtpy.QtCore import QObject

from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.identity import image_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.jobs.finetune import SourceReport
    from phaseguide.jobs.interrupted import Unfinished
    from phaseguide.jobs.keep_model import Outcome
    from phaseguide.widgets.finetune.panel import FinetunePanel
    from phaseguide.widgets.project.open_project import OpenProject


@dataclass(eq=False)
class FinetuneState:
    """Where the work of the dock stands; a signal of ``events`` tells of each field that changes.

    Attributes
    ----------
    found : SourceReport or None
        What the last look at the sources has found.
    running : bool
        Whether a model is learning.
    outcome : Outcome or None
        The end of the last run.
    deciding : bool
        Whether a decision about the outcome, or a comparison, is under way.
    unfinished : tuple of Unfinished
        Runs that were interrupted and can go on.
    """

    found: SourceReport | None = None
    running: bool = False
    outcome: Outcome | None = None
    deciding: bool = False
    unfinished: tuple[Unfinished, ...] = ()

    # What holds arrays has no equality of its own that is one truth value.
    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"found": operator.is_, "outcome": operator.is_}
    )


@dataclass(frozen=True)
class Messages:
    """How a part tells the user something: on the dock's status line, errors as a notification too."""

    say: Callable[..., None]
    fail: Callable[[BaseException], None]


def image_in_work(viewer: ViewerModel) -> Image | None:
    """Return the image that the user works on: the selected one, or the one below a selected layer; None without."""
    active = viewer.layers.selection.active
    images = roles.micrographs(viewer)
    if active is not None and not any(one is active for one in images):
        active = image_of(viewer, active)
    return active if active is not None else (images[-1] if images else None)


@dataclass(frozen=True)
class Shared:
    """What each part of the dock works with, in place of the dock."""

    viewer: ViewerModel
    opened: OpenProject
    panel: FinetunePanel
    state: FinetuneState
    messages: Messages


class DockPart(QObject):
    """A part of the dock, owned by it; it knows what is shared, and not the dock."""

    def __init__(self, owner: QObject, shared: Shared) -> None:
        super().__init__(owner)
        self._viewer, self._opened, self._panel = shared.viewer, shared.opened, shared.panel
        self._state, self._messages = shared.state, shared.messages
