"""What label maps do not hold, in sentences: phases without a pixel, and labels that seem to count from 0."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import is_labelled
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.ratios import count_labels


def count_all(maps: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Pixels for each label value 0..255 of all label maps together."""
    total = np.zeros(256, dtype=np.int64)
    for labels in maps:
        total += count_labels(labels)
    return total


def describe_partial(labelled: dict[str, float]) -> str:
    """Say that true ratios are those of parts, from the labelled share of each image; empty where all is labelled."""
    partial = [stem for stem, share in labelled.items() if share < 0.99]
    if not partial:
        return ""
    return (
        f"{len(partial)} of {len(labelled)} images are labelled in part ({', '.join(partial[:3])}"
        f"{' ...' if len(partial) > 3 else ''}). A ratio that is drawn from their labels is that of the labelled part, "
        "and is imposed on the whole image: it may make scores worse, and is no upper bound."
    )


def describe_gaps(counts: NDArray[np.int64], scheme: PhaseScheme) -> list[str]:
    """Say which phases no label map shows; counts are those of `count_all`, shape (256,)."""
    told = [
        f"{phase.name} (label {phase.label}) has no pixel in any label map, so it can be neither learnt nor judged."
        for phase in scheme
        if not counts[phase.label]
    ]
    hint = counts_from_zero(counts, scheme)
    return [*told, hint] if hint else told


def describe_training_gaps(
    train: dict[str, NDArray[np.uint8]], validation: dict[str, NDArray[np.uint8]], scheme: PhaseScheme
) -> list[str]:
    """Say what the label maps of a training lack: of both sides, of the one that is learnt from, of single images."""
    learnt, judged = count_all(train.values()), count_all(validation.values())
    told = describe_gaps(learnt + judged, scheme)
    told += [
        f"{phase.name} (label {phase.label}) has no pixel in the images that are learnt from, only in those that "
        "validate, so it is not learnt and its scores are poor. Give the training an image with it."
        for phase in scheme
        if judged[phase.label] and not learnt[phase.label]
    ]
    if (hint := counts_from_zero(learnt, scheme)) and hint not in told:
        told.append(hint)
    if silent := [stem for stem, labels in (train | validation).items() if not is_labelled(labels).any()]:
        told.append(f"No pixel of {', '.join(silent)} carries a phase, so it teaches and judges nothing.")
    return told


def counts_from_zero(counts: NDArray[np.int64], scheme: PhaseScheme) -> str:
    """A sentence where label maps hold 0..K-1 and no K, as those that count phases from 0 do; else empty."""
    last = scheme.phases[-1]
    others = [phase for phase in scheme if phase is not last]
    if counts[last.label] or not counts[NOT_CLASSIFIED] or not all(counts[p.label] for p in others):
        return ""
    return (
        f"The label maps hold {', '.join(map(str, range(last.label)))} and no {last.label}. If they count the phases "
        "from 0, add 1 to every label but 255: here 0 means not classified, and pixels of it say nothing."
    )
