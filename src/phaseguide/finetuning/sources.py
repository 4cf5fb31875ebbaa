"""What a run learns from: images with edits, partly or fully labelled, or with only a ratio."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.label_gaps import count_all, counts_from_zero
from phaseguide.labels import is_partial, overlay
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.ratios import find_source

if TYPE_CHECKING:
    from phaseguide.datasets.folder import Dataset
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

Kind = Literal["edits", "partial", "full", "ratio"]


@dataclass(frozen=True)
class Source:
    """One raw image, (H, W) or (H, W, C), and what is known about it; no two sources of a run share a name.

    Labels (H, W): 0 nobody has said, 1..K, 255 excluded, the image's bars and rims among them. The ratio has area
    shares in [0, 1], None where open; its tolerance is a standard deviation in log-ratio space. Sources of one
    ``group`` meet the ratio in the mean: fields of a specimen whose composition is known. Empty: the ratio is this
    image's own.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.uint8] | None
    kind: Kind
    ratio: tuple[float | None, ...] | None = None
    tolerance: float = 0.1
    group: str = ""

    def checksum(self) -> str:
        """Checksum of everything that the image teaches."""
        digest = hashlib.sha256(sha256_of_array(self.image).encode())
        if self.labels is not None:
            digest.update(sha256_of_array(self.labels).encode())
        digest.update(repr((self.ratio, self.tolerance if self.ratio else 0.0, self.group)).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class SourceRow:
    """A line of the table of sources: labelled share of the image per phase, in [0, 1], and labelled pixels, excluded
    ones not counted. ``problem`` says why nothing can be learnt from it, or is empty.
    """

    name: str
    kind: str
    shares: tuple[float, ...]
    labelled: int
    problem: str


def describe_sources(sources: Sequence[Source], scheme: PhaseScheme) -> list[SourceRow]:
    """Return a row a source; a source that cannot work says why instead of raising."""
    counts: dict[str, int] = {}
    for source in sources:
        counts[source.name] = counts.get(source.name, 0) + 1
    return [_describe(source, scheme, counts[source.name] > 1) for source in sources]


def zero_based(sources: Sequence[Source], scheme: PhaseScheme) -> str:
    """Say so where label maps of the sources seem to count the phases from 0; empty where they do not.

    Edits are left out: whoever paints says nothing of most pixels, and seldom paints every phase.
    """
    maps = [s.labels for s in sources if s.labels is not None and s.kind in ("partial", "full")]
    return counts_from_zero(count_all(maps), scheme)


def _describe(source: Source, scheme: PhaseScheme, twice: bool) -> SourceRow:
    k = len(scheme)
    problem = _image_problem(source)
    shares, labelled = (0.0,) * k, 0
    if source.labels is not None:
        found = np.bincount(source.labels.reshape(-1), minlength=256)
        labelled = int(found[1 : k + 1].sum())
        shares = tuple(float(n) / source.labels.size for n in found[1 : k + 1])
        foreign = [v for v in range(k + 1, EXCLUDED) if found[v]]
        if foreign:
            problem = problem or (
                f"holds label {', '.join(map(str, foreign[:5]))}, but the phases are {scheme.describe()}. "
                "Relabel it, or add the phase."
            )
    problem = problem or _ratio_problem(source, k)
    if not problem and twice:
        problem = "is named twice. Take one of the two away."
    if not problem and not labelled and source.ratio is None:
        problem = "has no label and no ratio. Paint on its edits layer, or say how much of a phase it has."
    return SourceRow(source.name, source.kind, shares, labelled, problem)


def _image_problem(source: Source) -> str:
    image, labels = source.image, source.labels
    if image.ndim not in (2, 3) or min(image.shape[:2]) < 2:
        return f"is an array of shape {image.shape}, not an image. Choose one plane of it."
    if labels is not None and labels.shape != image.shape[:2]:
        return (
            f"has labels of {' x '.join(map(str, labels.shape))} px, but the image is "
            f"{' x '.join(map(str, image.shape[:2]))} px. Labels must match pixel by pixel."
        )
    finite = np.isfinite(image).any() if image.dtype.kind == "f" else True
    return "" if finite else "has no finite pixel. Check the file."


def _ratio_problem(source: Source, k: int) -> str:
    if source.ratio is None:
        return ""
    given = [share for share in source.ratio if share is not None]
    if len(source.ratio) != k:
        return f"has a ratio of {len(source.ratio)} phases, but there are {k}. Give it again."
    if not given:
        return "has a ratio in which every phase is open. Say how much there is of one."
    if not all(math.isfinite(share) for share in given):
        return "has a ratio with a share that is no number. Give it again, or leave that phase open."
    if min(given) < 0 or sum(given) > 1.0005:
        return f"has a ratio of {sum(given):.1%} in all. Shares lie between 0 and 100 % together."
    if len(given) == k and not any(given):
        return "has a ratio in which every phase is 0. Leave it out, or leave open what you do not know."
    return ""


def data_sha256(sources: Sequence[Source]) -> str:
    """Checksum of all sources, whatever their order."""
    return hashlib.sha256("\n".join(sorted(f"{s.name} {s.checksum()}" for s in sources)).encode()).hexdigest()


def sources_from_dataset(dataset: Dataset, scheme: PhaseScheme) -> Iterator[Source]:
    """Read the labelled fields of a folder of pairs one by one; errors name the file."""
    for item in dataset.labelled().items:
        micrograph = item.read_image()
        image = micrograph.data
        labels = micrograph.excluding(item.read_labels(scheme, (image.shape[0], image.shape[1])))
        kind: Kind = "partial" if is_partial(labels) else "full"
        yield Source(item.stem, image, labels, kind)


def sources_from_project(project: Project) -> Iterator[Source]:
    """Read what the fields of a project teach, one by one: truth, edits on top of it, ratios.

    Rejected fields teach nothing. A reviewed field teaches by its edits and its truth, like any other:
    what a model has predicted is never taken for a label.
    """
    for field in project.fields:
        if field.state == "rejected":
            continue
        truth, edits = project.read_truth(field.id), project.read_edits(field.id)
        said = merge_labels(truth, edits)
        ratio = None if field.ratio is None else tuple(field.ratio.shares)
        if said is None and ratio is None:
            continue
        micrograph = project.read_image(field.id)
        labels = micrograph.excluding(said)
        kind: Kind = "ratio" if said is None else "edits"
        if labels is not None and truth is not None:
            kind = "partial" if is_partial(labels) else "full"
        tolerance = 0.1 if field.ratio is None else field.ratio.uncertainty
        yield Source(field.id, micrograph.data, labels, kind, ratio, tolerance, specimen_group(field))


def specimen_group(field: FieldEntry) -> str:
    """Group of a field whose ratio is of its whole specimen: the mean of its fields meets it, not each of them."""
    whole = field.ratio is not None and find_source(field.ratio.source).scope == "specimen"
    return f"specimen {field.specimen}" if whole else ""


def merge_labels(
    truth: NDArray[np.uint8] | None, edits: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    """Put edits on top of labels; None where neither says anything."""
    if edits is not None and not edits.any():
        edits = None
    if truth is None or edits is None:
        return edits if truth is None else truth
    return overlay(truth, edits)
