"""What ``project.json`` holds: fields with their images, what was said about them, versions of the model."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from phaseguide.files.foreign import is_safe_name
from phaseguide.phases import PhaseScheme
from phaseguide.projects.places import MODELS, is_recycled
from phaseguide.ratios import DEFAULT_SOURCE, Ratio, find_source, validate_ratio

SCHEMA_VERSION = 1

State = Literal["unreviewed", "reviewed", "rejected"]

LONGEST_ID = 100
"""Of a field; the names of its files are longer."""


def _checked_id(told: str) -> str:
    if not is_safe_name(told) or len(told) > LONGEST_ID:
        raise ValueError(f"{told[:40]!r} cannot be the id of a field; letters, digits, - and _ can")
    return told


Text = Annotated[str, Field(max_length=10_000)]
FieldId = Annotated[str, AfterValidator(_checked_id)]
Edge = Annotated[int, Field(ge=1, le=1_000_000)]


class _Entry(BaseModel):
    # A key that this version does not know would be lost at the next save, so it is refused.
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageRef(_Entry):
    """A file of a field: path relative to the project's folder if it lies inside, else absolute.

    It is only ever read, and known by its checksum.
    """

    path: Annotated[Text, Field(min_length=1)]
    sha256: Text
    detector: Text = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether its path is absolute, under this system or another."""
        return PurePosixPath(self.path).is_absolute() or PureWindowsPath(self.path).is_absolute()


class AskedRatio(_Entry):
    """What is known of a composition: area shares in [0, 1], None where open; their deviation in log-ratio space."""

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
    """The last segmentation of a field: area shares without any ratio (``own``) and of the map, and whether a ratio
    had a part in it.

    ``version`` is the version, zoo name or path of the model. Files are relative to the project's folder, times ISO
    8601, UTC.
    """

    labels: Text
    record: Text
    version: Text
    model_sha256: Text = ""
    own: list[FiniteFloat]
    achieved: list[FiniteFloat]
    constrained: bool
    time: Text


class FieldEntry(_Entry):
    """A field of view: one image, or several of it by different detectors; the first one is segmented.

    ``shape`` is (H, W) in px of every image and label map; ``edits`` and ``truth`` (labels corrected elsewhere) are
    files relative to the project's folder; ``reason`` says why it was rejected. ``scale_source`` says where a size of a
    pixel comes from that the user told; empty for that of the file.
    """

    id: FieldId
    specimen: Text = ""
    name: Text
    images: list[ImageRef] = Field(min_length=1)
    shape: tuple[Edge, Edge]
    state: State = "unreviewed"
    reason: Text = ""
    pixel_size_um: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    scale_source: Text = ""
    edits: Text | None = None
    truth: Text | None = None
    ratio: AskedRatio | None = None
    result: ResultEntry | None = None

    @model_validator(mode="after")
    def _has_its_own_files(self) -> Self:
        told = {"edits": self.edits, "truth": self.truth}
        if self.result is not None:
            told |= {"labels": self.result.labels, "record": self.result.record}
        for kind, path in told.items():
            if path is not None and path != field_file(kind, self.id):
                raise ValueError(
                    f"{path[:120]!r} is not {field_file(kind, self.id)!r}, where its {kind} must lie"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_what_nobody_told(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out where a size of a pixel comes from that is of the file: earlier versions know no such key."""
        told: dict[str, Any] = write(self)
        return told if self.scale_source else {k: v for k, v in told.items() if k != "scale_source"}

    def is_stale(self, current: str) -> bool:
        """Whether the result is of another model than the current one, and may be made again."""
        return self.state == "unreviewed" and self.result is not None and self.result.version != current

    def is_due(self, current: str) -> bool:
        """Whether it is unreviewed and has no result of the current model."""
        return self.is_stale(current) or (self.state == "unreviewed" and self.result is None)


class VersionEntry(_Entry):
    """A model that was kept, and the version, zoo name or path that it was fine-tuned from.

    ``sha256`` is that of its file, ``parent_sha256`` that of the parent's tensors, ``data_sha256`` that of everything
    that it learnt from; ``settings``, ``before`` and ``after`` are those of the run and its judgements. A deleted
    one's file lies in the recycle folder.
    """

    id: Annotated[str, Field(pattern=r"^v[0-9]{3,9}$")]
    file: Text
    sha256: Text
    parent: Text
    parent_sha256: Text
    data_sha256: Text
    settings: dict[str, Any] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    created: Text
    note: Text = ""
    deleted: bool = False

    @model_validator(mode="after")
    def _has_its_own_file(self) -> Self:
        kept = version_file(self.id)
        if not (is_recycled(self.file, kept) if self.deleted else self.file == kept):
            raise ValueError(f"{self.file[:120]!r} is not where the model of version {self.id} must lie")
        return self


class ProjectFile(_Entry):
    """All of ``project.json``; ``current`` is the version, zoo name or path of the model in use, empty for none yet."""

    schema_version: Literal[1] = 1
    name: Text
    created: Text
    phases: list[dict[str, Any]]
    fields: list[FieldEntry] = []
    versions: list[VersionEntry] = []
    current: Text = ""

    @model_validator(mode="after")
    def _knows_each_by_one_id(self) -> Self:
        for ids in ([field.id for field in self.fields], [version.id for version in self.versions]):
            known: set[str] = set()
            for told in ids:
                if told.casefold() in known:  # many disks take A and a for the same
                    raise ValueError(f"the id {told!r} is there twice")
                known.add(told.casefold())
        return self


def field_file(kind: str, field_id: str) -> str:
    """Where a field's ``edits``, ``truth``, ``labels`` or ``record`` lie, relative to the project's folder."""
    return {
        "edits": f"edits/{field_id}_edits.tif",
        "truth": f"truth/{field_id}_truth.tif",
        "labels": f"results/{field_id}_labels.tif",
        "record": f"results/{field_id}.json",
    }[kind]


def version_file(version_id: str) -> str:
    """Where the model of a version lies that was not deleted, relative to the project's folder."""
    return f"{MODELS}/{version_id}.safetensors"
