"""Texts and cover of a bioimage.io package."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.card import Card
from phaseguide.models.summary import parent_name, score_text

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme

_DOI = re.compile(r"\b10\.\d{4,9}/[^\s,;\"'<>]+[^\s,;.\"'<>)]")
_NO_NAME = re.compile(r"[^A-Za-z0-9_+\- ()]+")
_MARKS = re.compile(r"([\\`*_{}\[\]#|~!@$])")
_VEIL = 0.55

FEWEST_STRIDES = 2
"""How often the stride of a network goes into the sides of its images at least."""


def find_dois(citation: str) -> list[str]:
    """Return the DOIs in a citation, each once, in their order."""
    return list(dict.fromkeys(_DOI.findall(citation)))


def plain_name(name: str) -> str:
    """Return a name as bioimage.io takes it: 5 to 64 plain characters."""
    plain = _NO_NAME.sub("-", name).strip("- ")[:40]
    return f"Phase segmentation {plain}".strip()


def as_markdown(text: Any) -> str:
    """Return a text of somebody else's as one line of Markdown that reads as it was written.

    Neither formatting nor links, pictures, HTML or cells of a table come of it.
    """
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKS.sub(r"\\\1", line)
    # A bare address would become a link, and what a line begins with a list or a heading.
    line = line.replace("://", "\\://").replace("www.", "www\\.")
    return re.sub(r"^([-+=]|\d{1,9}(?=[.)]))", lambda m: f"\\{m[0]}" if m[0] in "-+=" else f"{m[0]}\\", line)


def cover_image(image: NDArray[np.float32], probabilities: NDArray[np.float32], scheme: PhaseScheme) -> Any:
    """Put an image (C, h, w) and, beside it, the phases (K, h, w) in their colours on it, into one RGB picture."""
    from PIL import Image

    low, high = np.percentile(image, (0.5, 99.5))
    planes = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    picture = planes[:3] if len(planes) >= 3 else np.repeat(planes[:1], 3, axis=0)
    side = min(picture.shape[1:])
    picture = np.moveaxis(picture[:, :side, :side], 0, -1)
    colours = np.array([[int(p.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for p in scheme])
    overlay = (1 - _VEIL) * picture + _VEIL * colours[probabilities.argmax(0)[:side, :side]]
    return Image.fromarray((np.hstack([picture, overlay]) * 255).astype(np.uint8))


def documentation(card: Card, licence: str, citation: str, image_name: str, stride: int) -> str:
    """Write README.md of a package: what the model is, and what it does without Phase Guide."""
    phases = "\n".join(
        f"| {number} | {as_markdown(phase.name)} | {phase.label} | {phase.colour} |"
        for number, phase in enumerate(card.scheme)
    )
    scores = "\n".join(
        f"- {as_markdown(name)}: {as_markdown(score_text(value))}" for name, value in card.scores.items()
    )
    views = len(card.inference.views)
    pixel = card.input.pixel_size_um
    origin = f" Fine-tuned from {as_markdown(parent_name(card))}." if parent_name(card) else ""
    return f"""# {as_markdown(card.name)}

{as_markdown(card.description or "Segments the phases of micrographs.")}{origin}

Exported by Phase Guide (napari-phaseguide). Every pixel gets a probability for each phase; the largest one names
its phase.

| channel | phase | label in Phase Guide | colour |
|---|---|---|---|
{phases}

## Input

Raw grey values of any range{f", {pixel:g} µm a pixel" if pixel else ""}, sides that are multiples of {stride} px,
at least {FEWEST_STRIDES * stride} px. The preprocessing maps the 0.5 and 99.5 percentiles of the image to -1 and 1
and clips at -1.5 and 1.5. Percentiles belong to a whole image: a program that cuts it into tiles should
take them before, and let tiles overlap by 64 px or more.

## What differs from the model in Phase Guide

- **No ratio.** The model was made to be guided by the phase ratio that the user knows. Here it runs without
  one; neither the part of the network that takes a ratio nor the matching of the mask to a ratio is in this
  package.
- **No average over views.** Phase Guide averages the scores of {views} view{"s" if views > 1 else ""} of the
  image for this model; here it is the image as it is.
- **No calibration of the scores**, no manual edits, no excluded pixels, no smallest island.
- **Percentiles** are those of all pixels; Phase Guide takes every second, third ... pixel of an image of
  2048 px or more a side, and leaves out pixels that are not finite.
- **Sizes.** Phase Guide pads any size to a multiple of {stride} by reflection; here the sides must fit.

With one view, the same percentiles and such a size, the scores are those of Phase Guide without a ratio.

## Validation

{scores or "The card of this model holds no scores."}

These numbers are from the model in Phase Guide, with its views where its card names several. Validate on
labelled images of your own before you use the areas: compare the area fraction of each phase with a point
count, and the mask with a label map. The test arrays were made from the middle of the micrograph
{as_markdown(image_name)}.

## Training, licence, citation

- Data licence: {as_markdown(card.data_licence or "not given")}
- Model licence: {as_markdown(card.model_licence or licence)} (SPDX: {as_markdown(licence)})
- Citation: {as_markdown(citation or "not given")}

The whole card, with the record of the training, is in `card.json`.
"""
