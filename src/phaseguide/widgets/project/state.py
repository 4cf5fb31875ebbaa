"""What the parts of a project share: the project as it is shown, and whether its fields are segmented."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from psygnal import SignalGroupDescriptor

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import VersionEntry


@dataclass(frozen=True)
class Shown:
    """A project and its phases: with others, nothing that was made to show its fields holds any more."""

    project: Project | None = None
    scheme: PhaseScheme | None = None


@dataclass(eq=False)
class ProjectState:
    """A signal of ``events`` tells of each field that changes, in the GUI thread.

    Attributes
    ----------
    shown : Shown
    models : tuple of str and tuple of VersionEntry
        The model in use, and the versions that the project keeps.
    running : bool
        Whether fields are being segmented.
    """

    shown: Shown = field(default_factory=Shown)
    models: tuple[str, tuple[VersionEntry, ...]] = ("", ())
    running: bool = False

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(connect_child_events=False)

    @property
    def project(self) -> Project | None:
        """The project on show, or None."""
        return self.shown.project

    def take(self, project: Project | None) -> None:
        """Take over what a project says now."""
        self.shown = Shown(project, None if project is None else project.scheme)
        self.models = ("", ()) if project is None else (project.current, project.versions)
