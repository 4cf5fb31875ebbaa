"""Synthetic micrographs as the images of a data set that is to be written."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from phaseguide.datasets.reading.base import About, Entry, Field, Listing
from phaseguide.datasets.synthetic.appearance import synthetic_image
from phaseguide.datasets.synthetic.recipes import RECIPES, synthetic_labels
from phaseguide.datasets.synthetic.scale_bar import information_bar
from phaseguide.datasets.synthetic.settings import SyntheticSettings
from phaseguide.phases import EXCLUDED

NAME = "synthetic"


def draw_field(settings: SyntheticSettings, number: int) -> Field:
    """Draw an image with its labels; the same settings and number give the same.

    Its structure and its appearance come from chances of their own, so that labels stay where only an appearance
    changes.
    """
    structure, appearance = np.random.default_rng((settings.seed, number)).spawn(2)
    shape = (settings.height - settings.bar_rows, settings.width)
    labels = synthetic_labels(
        settings.recipe, shape, settings.shares, length_px=settings.length_px, rng=structure
    )
    image = synthetic_image(
        labels,
        len(settings.scheme),
        contrast=settings.contrast,
        texture=settings.texture,
        gradient=settings.gradient,
        noise=settings.noise,
        blur_px=settings.blur_px,
        rng=appearance,
    )
    if settings.bar_rows:
        bar = information_bar(settings.width, settings.bar_rows, settings.pixel_size_um)
        image = np.concatenate([image, bar])
        labels = np.concatenate([labels, np.full_like(bar, EXCLUDED)])
    return Field(image, labels, settings.pixel_size_um, settings.bar_rows, copied=False)


def list_synthetic(settings: SyntheticSettings, out: Path) -> Listing:
    """List images to be drawn for a folder; none is drawn yet."""
    told = settings.to_dict()
    del told["count"]  # how many there are changes none of them
    made_of, digits = (json.dumps(told, sort_keys=True),), len(str(settings.about("count")["high"]))
    entries = tuple(
        Entry(f"{settings.recipe}-{number:0{digits}d}", partial(draw_field, settings, number), made_of)
        for number in range(1, settings.count + 1)
    )
    about = About(
        NAME,
        f"{RECIPES[settings.recipe].title}, synthetic",
        expects="nothing",
        licence="yours: it was drawn, not measured",
        source="Drawn by Phase Guide; no micrograph of a real material.",
    )
    return Listing(about, out, settings.scheme, entries)
