"""What one press of Fine-tune asks for, free of Qt and of layers: where to start, what to learn from, how."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, ModelError, TrainingError
from phaseguide.finetuning.config import PRESETS, FinetuneConfig, preset_for
from phaseguide.finetuning.sources import Source
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.projects.project import Project

IMAGENET, SAM = "imagenet", "sam"
DEFAULT_SIZE = "vit_b"


@dataclass(frozen=True)
class Start:
    """The model to start from, and the phases that it is to tell apart.

    Attributes
    ----------
    path : Path or None
        None starts from ImageNet weights, or from those of Segment Anything.
    fresh : bool
        A new model: takes over what ``path`` knows of phases of the same name. Else ``path`` is improved.
    scheme : PhaseScheme
        Phases of the new model.
    origin : tuple of tuple of int
        For each phase of ``scheme`` the phases of the old model that it comes from; unused with ``fresh``.
    sam : str
        Size of Segment Anything to start from; empty: another start.
    """

    path: Path | None
    fresh: bool
    scheme: PhaseScheme
    origin: tuple[tuple[int, ...], ...] = ()
    sam: str = ""

    def load(self, channels: int, name: str) -> LoadedModel:
        """Load the model and give it the phases; to be called in a worker.

        Parameters
        ----------
        channels : int
            Of a model that starts from ImageNet.
        name : str
            Of a new model.

        Raises
        ------
        ModelError
            A file that cannot be used, phases that do not come from it, or weights that are not at hand.
        """
        from phaseguide.models.zoo import open_model

        old = None if self.path is None else open_model(self.path)
        if self.fresh:
            from phaseguide.finetuning.new_model import new_model

            count = channels if old is None else old.segmenter.in_channels
            return new_model(self.scheme, start=old, channels=count, name=name, sam=self.sam)
        if old is None:
            raise ModelError("No model is chosen. Choose one to improve, or make a new one.")
        if old.card.scheme == self.scheme and self.origin in ((), _unchanged(self.scheme)):
            return old
        from phaseguide.models.rephase import rephase

        return rephase(old, self.scheme, dict(enumerate(self.origin, start=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "path": None if self.path is None else str(self.path),
            "fresh": self.fresh,
            "scheme": self.scheme.to_dict(),
            "origin": [list(labels) for labels in self.origin],
            "sam": self.sam,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Start:
        """Read what `to_dict` wrote."""
        path = data["path"]
        origin = tuple(tuple(int(label) for label in labels) for labels in data["origin"])
        return cls(
            None if path is None else Path(path),
            bool(data["fresh"]),
            PhaseScheme.from_dict(data["scheme"]),
            origin,
            str(data.get("sam", "")),
        )


@dataclass(frozen=True)
class SourceSpec:
    """A row of the table of sources: one image, or all of a folder.

    Attributes
    ----------
    key : hashable
        Of the row.
    title : str
    read : callable
        Returns the sources; called in a worker, so it touches no layer.
    validates : bool
        Whether it is held out as a whole.
    """

    key: Hashable
    title: str
    read: Callable[[], Iterable[Source]]
    validates: bool = False


@dataclass(frozen=True)
class FinetuneJob:
    """Everything that one press of Fine-tune asks for.

    Attributes
    ----------
    start : Start
    specs : tuple of SourceSpec
    config : FinetuneConfig
        Without the fields that validate, which the specs tell.
    name : str
        Of the new model.
    project : Project or None
        The open project: only one run at a time learns in it.
    folder : Path
        Where what it takes to go on after a crash is kept.
    """

    start: Start
    specs: tuple[SourceSpec, ...]
    config: FinetuneConfig
    name: str
    project: Project | None
    folder: Path


@dataclass(frozen=True)
class ProjectJob:
    """Fine-tuning on all that is known of a project's fields; the model becomes a version of it.

    Attributes
    ----------
    project : Project
    start : str or None
        See `load_start`.
    preset, given
        See `make_config`; without a preset, that of the model.
    base : str
        Checksum of base weights for a new Segment Anything model; empty: the official ones.
    name : str
        Of the model.
    fresh : bool
        Do not go on with an interrupted run.
    use : bool
        Put the new version to use.
    """

    project: Project
    start: str | None
    preset: str | None
    given: Mapping[str, Any]
    base: str
    name: str
    fresh: bool = False
    use: bool = False


def make_config(
    preset: str | None, given: Mapping[str, Any], adapter: Mapping[str, Any] | None = None
) -> FinetuneConfig:
    """Settings of a preset with those that were given on top.

    Parameters
    ----------
    preset : str or None
        None takes the one that suits the model.
    given : mapping
        Settings of `FinetuneConfig`.
    adapter : mapping, optional
        Of the model's card.

    Raises
    ------
    TrainingError
        No such preset or setting, or a value of another type or out of its limits.
    """
    preset = preset or preset_for(adapter or {})
    if preset not in PRESETS:
        raise TrainingError(f"There is no preset {preset!r}. Choose one of {', '.join(PRESETS)}.")
    settings = PRESETS[preset]
    if given.get("guidance", settings.guidance) != settings.guidance:
        # Options of one kind of guidance mean nothing to another.
        settings = settings.changed(guidance_options={}, guidance_scales=0)
    return settings.changed(**given)


def load_start(project: Project, start: str | None, channels: int, base: str = "") -> tuple[LoadedModel, str]:
    """Load the model to start from and give it the project's phases; the notice says what was changed.

    Parameters
    ----------
    project : Project
    start : str or None
        Version, zoo name or path; ``imagenet`` or ``sam:vit_b`` for a new model; None for the model in use.
    channels : int
        Of the images.
    base : str
        Checksum of base weights for a new Segment Anything model; empty: the official ones.
    """
    from phaseguide.finetuning.new_model import new_model
    from phaseguide.models.model_file import load_model
    from phaseguide.models.rephase import rephase
    from phaseguide.models.zoo import open_model
    from phaseguide.projects.lineage import origin_for

    scheme = project.scheme
    if start == IMAGENET or (start is None and not project.current):
        return new_model(scheme, channels=channels, name=project.name), ""
    if size := sam_size(start):
        adapter = {"base": base} if base else {}
        return new_model(scheme, channels=channels, name=project.name, sam=size, adapter=adapter), ""
    if start is None:
        model = load_model(project.model_path())
    elif any(v.id == start for v in project.versions):
        model = load_model(project.version_path(start))
    else:
        model = open_model(start)
    known = model.card.scheme
    if known.names == scheme.names:
        return model, ""
    origin = origin_for(scheme, project.read_log(), known)
    new = [p.name for p in scheme if p.label not in origin]
    told = f"{model.card.name} knows {known.describe()}; the project has {scheme.describe()}."
    grown = f" New to it: {', '.join(new)}." if new else ""
    return replace(rephase(model, scheme, origin), path=model.path), told + grown


def sam_size(start: str | None) -> str:
    """The size in ``sam:vit_b`` (``sam`` alone is ViT-B); empty for anything else.

    Raises
    ------
    ModelError
        There is no such size.
    """
    name, colon, size = (start or "").partition(":")
    if name != SAM or (not colon and Path(name).exists()):
        return ""
    from phaseguide.models.sam.shapes import find_shape

    return find_shape(size or DEFAULT_SIZE).name


def as_labels(values: Any, name: str) -> NDArray[np.uint8]:
    """Return label values as uint8.

    Raises
    ------
    MicrographError
        A value that no label map has.
    """
    labels = np.asarray(values)
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype.kind not in "uib" or (labels.size and (labels.min() < 0 or labels.max() > 255)):
        raise MicrographError(
            f"{name}: holds values outside 0..255, which no phase has. Relabel it: 0 not known, 1, 2, 3 ... the phases."
        )
    return labels.astype(np.uint8)


def _unchanged(scheme: PhaseScheme) -> tuple[tuple[int, ...], ...]:
    return tuple((phase.label,) for phase in scheme)
