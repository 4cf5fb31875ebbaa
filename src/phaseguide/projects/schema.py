"""What ``project.json`` holds: fields with their images, what was said about them, versions of the model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from phaseguide.phases import PhaseScheme
from phaseguide.ratios import DEFAULT_SOURCE, Ratio, find_source, validate_ratio

SCHEMA_VERSION = 1

Edge = Annotated[int, Field(gt=0, le=1_000_000)]
State = Literal["unreviewed", "reviewed", "rejected"]


class _Entry(BaseModel):
    # A key that this version does not know would be lost at the next save, so it is refused.
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageRef(_Entry):
    """A file of a field: path relative to the project's folder if it lies inside, else absolute."""

    path: str
    sha256: str
    detector: str = ""


class AskedRatio(_Entry):
    """What is known of a field's composition.

    Attributes
    ----------
    shares : list of float or None
        Area shares in [0, 1] in label order, None where open.
    uncertainty : float
        Standard deviation in log-ratio space.
    source : str
        Key of `phaseguide.ratios.sources.SOURCES`.
    """

    shares: list[float | None]
    uncertainty: float = Field(ge=0, allow_inf_nan=False)
    source: str = DEFAULT_SOURCE

    @property
    def asked(self) -> Ratio:
        """The shares as an array, shape (K,), NaN where open."""
        return np.array([np.nan if share is None else share for share in self.shares], dtype=np.float64)

    def checked(self, scheme: PhaseScheme) -> AskedRatio:
        """Return this ratio, scaled where it misses 100 % by rounding; `RatioError` if it cannot be meant."""
        shares = [None if np.isnan(s) else float(s) for s in validate_ratio(self.asked, scheme)]
        return self.model_copy(
            update={"shares": shares, "source": find_source(self.source or DEFAULT_SOURCE).key}
        )


class ResultEntry(_Entry):
    """The last segmentation of a field.

    Attributes
    ----------
    labels, record : str
        Files, relative to the project's folder.
    version : str
        Version, zoo name or path of the model that made it.
    model_sha256 : str
    own, achieved : list of float
        Area shares without any ratio, and of the map.
    constrained : bool
        Whether a ratio had a part in it.
    time : str
        ISO 8601, UTC.
    """

    labels: str
    record: str
    version: str
    model_sha256: str = ""
    own: list[FiniteFloat]
    achieved: list[FiniteFloat]
    constrained: bool
    time: str


class FieldEntry(_Entry):
    """A field of view: one image, or several of it by different detectors; the first one is segmented.

    Attributes
    ----------
    id : str
        Names the field's files.
    specimen, name : str
        What the user calls them.
    images : list of ImageRef
    shape : tuple of int
        (H, W) of every image and label map of the field, in px.
    state : {"unreviewed", "reviewed", "rejected"}
    reason : str
        Why it was rejected.
    pixel_size_um : float or None
        Edge of a pixel in micrometres.
    edits, truth : str or None
        Label maps relative to the project's folder: what the user painted; labels corrected elsewhere.
    ratio : AskedRatio or None
    result : ResultEntry or None
    """

    id: str
    specimen: str = ""
    name: str
    images: list[ImageRef] = Field(min_length=1)
    shape: tuple[Edge, Edge]
    state: State = "unreviewed"
    reason: str = ""
    pixel_size_um: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    edits: str | None = None
    truth: str | None = None
    ratio: AskedRatio | None = None
    result: ResultEntry | None = None

    def is_stale(self, current: str) -> bool:
        """Whether the result is of another model than the current one, and may be made again."""
        return self.state == "unreviewed" and self.result is not None and self.result.version != current

    def is_due(self, current: str) -> bool:
        """Whether it is unreviewed and has no result of the current model."""
        return self.is_stale(current) or (self.state == "unreviewed" and self.result is None)


class VersionEntry(_Entry):
    """A model that was kept.

    Attributes
    ----------
    id : str
        ``v001``, ``v002`` ...
    file, sha256 : str
        Model file relative to the project's folder, and the checksum of its bytes.
    parent, parent_sha256 : str
        Version, zoo name or path that it was fine-tuned from, and the checksum of its tensors.
    data_sha256 : str
        Checksum of everything that it learnt from.
    settings, before, after : dict
        Of the run, and its judgements.
    created : str
        ISO 8601, UTC.
    note : str
        The user's.
    deleted : bool
        Its file lies in the recycle folder.
    """

    id: str
    file: str
    sha256: str
    parent: str
    parent_sha256: str
    data_sha256: str
    settings: dict[str, Any] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    created: str
    note: str = ""
    deleted: bool = False


class ProjectFile(_Entry):
    """All of ``project.json``.

    Attributes
    ----------
    current : str
        Version, zoo name or path of the model in use; empty for none yet.
    """

    schema_version: Literal[1] = 1
    name: str
    created: str
    phases: list[dict[str, Any]]
    fields: list[FieldEntry] = []
    versions: list[VersionEntry] = []
    current: str = ""
