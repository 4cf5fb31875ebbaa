"""A model in words and numbers, for lists and documents: where it comes from, how good and how large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from phaseguide.models.card import Card

if TYPE_CHECKING:
    from phaseguide.models.segmenter import GuidedSegmenter

_WORDS = {"dice_mean": "Dice", "miou": "mIoU", "accuracy": "accuracy"}

_CHOSEN = "The best epoch was chosen on the same pixels, so it is a little too good."


@dataclass(frozen=True)
class Basis:
    """What a score was measured on, in a few words to stand behind "on", and what the number says and does not."""

    where: str
    meaning: str


BLOCKS = Basis(
    "held-out blocks",
    "Measured on blocks held out of the painted area of the images that it was fine-tuned on: mostly places where the "
    f"older model was wrong, so no score of a whole image and not to be compared with one. {_CHOSEN}",
)
STROKES = Basis(
    "own strokes, cross-fitted",
    "Measured on what was painted when it was fine-tuned, each stroke by a fit that had not learnt from it, while the "
    "model itself has learnt from all: mostly places where the older model was wrong, so no score of a whole image and "
    "not to be compared with one.",
)
JUDGES = Basis(
    "judge images",
    "Measured on all labels of the images that were set to judge when it was fine-tuned, and on nothing else of them. "
    f"It has not learnt from these images. {_CHOSEN}",
)
IMAGES = Basis(
    "validation images",
    f"Measured on labelled images that it has not learnt from, held out as a whole. {_CHOSEN}",
)
FOLDS = Basis(
    "unseen images, by folds",
    "Measured on labelled images as a whole, each by a model of the same recipe that had not seen it; the model itself "
    "learnt from all of them.",
)


def parent_name(card: Card) -> str:
    """Name of the model that this one was trained from; empty for one of its own."""
    return str(card.training.get("parent", ""))


def score_text(scores: Any) -> str:
    """Write the scores of a card, or one of its entries, as a text; nested entries one after the other."""
    if not isinstance(scores, Mapping):
        return str(scores)
    nested = [f"{name}: {score_text(value)}" for name, value in scores.items() if name != "note"]
    if any(isinstance(value, Mapping) and "dice_mean" in value for value in scores.values()):
        return "; ".join(nested) + (f". {scores['note']}" if "note" in scores else "")
    known = [
        f"{word} {scores[key] * 100:.2f} %" for key, word in _WORDS.items() if _is_number(scores.get(key))
    ]
    return f"{', '.join(known)}{_evidence(scores)}" if known else str(dict(scores))


def _evidence(scores: Mapping[str, Any]) -> str:
    """The pixels behind scores, and the range of the Dice, where an entry tells them."""
    around, pixels = scores.get("dice_range"), scores.get("pixels")
    if not (isinstance(around, list) and len(around) == 2 and all(_is_number(end) for end in around)):
        return ""
    counted = f" on {pixels:,} painted px" if isinstance(pixels, int) else ""
    return f"{counted}, range {around[0] * 100:.1f} to {around[1] * 100:.1f} %"


def main_score(card: Card) -> tuple[str, float] | None:
    """Return the mean Dice that stands for a model, in [0, 1], and what it was measured on; None without one.

    The first entry of the card that holds one, so the validation before what folds told.
    """
    entries = sorted(card.scores.items(), key=lambda item: not item[0].startswith("validation"))
    for name, value in entries:
        if isinstance(value, Mapping) and _is_number(value.get("dice_mean")):
            return name, float(value["dice_mean"])
    return None


def score_basis(card: Card) -> Basis | None:
    """Return what `main_score` was measured on, so that unlike scores are told apart; None without one."""
    found = main_score(card)
    if found is None:
        return None
    name = found[0]
    if name == "validation":
        return IMAGES
    if name == "crossfit":
        return FOLDS
    if name == "validation strokes":
        return STROKES
    if name == "validation blocks":
        # Images that judge as a whole are kept under the same name; only the source tells.
        return JUDGES if str(card.scores[name].get("source", "")).startswith("all labels of ") else BLOCKS
    return Basis(name, f"Measured on what the model's card calls {name!r}.")


def without_folders(value: Any) -> Any:
    """Return a copy of JSON values in which each text that is the path of a file has lost its folders.

    What leaves the house does not tell how its owner's disk is arranged.
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and (value.startswith(("/", "~/", "\\\\")) or value[1:3] in (":\\", ":/")):
        return value.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return value


class Count(NamedTuple):
    """Parameters of a module that training may change, and all of them, shared base weights included."""

    trainable: int
    total: int


def count_parameters(segmenter: GuidedSegmenter) -> dict[str, Count]:
    """Count the parameters of ``encoder``, ``adapters`` (where there are some), ``guidance``, ``decoder``, and ``all``.

    Base weights of Segment Anything count as frozen parameters of the encoder, although they are no parameters
    of the segmenter and are not in its file. Its prompt encoder and quality head are not used and not counted.
    """
    backbone = segmenter.backbone
    counts = {"encoder": Count(0, backbone.frozen_parameters()), "adapters": Count(0, 0)}
    for name, module in backbone.encoder_parts().items():
        own = sum(p.numel() for p in module.parameters())
        counts[name] = Count(counts[name].trainable + own, counts[name].total + own)
    modules = [segmenter.guidance] if segmenter.refinement is None else [segmenter.refinement]
    guidance = sum(p.numel() for module in modules for p in module.parameters())
    decoder = sum(p.numel() for module in backbone.decoder_parts().values() for p in module.parameters())
    counts["guidance"], counts["decoder"] = Count(guidance, guidance), Count(decoder, decoder)
    if not counts["adapters"].total:
        del counts["adapters"]
    parts = list(counts.values())
    counts["all"] = Count(sum(c.trainable for c in parts), sum(c.total for c in parts))
    return counts


def count_of_card(card: Card) -> dict[str, Count]:
    """Count the parameters of the model that a card describes, without its weights or those below them.

    Raises `ModelError` where it cannot be built here, for example since a package is missing.
    """
    from phaseguide.models.on_meta import on_meta
    from phaseguide.models.segmenter import GuidedSegmenter

    with on_meta():
        return count_parameters(GuidedSegmenter.from_card(card))


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)
