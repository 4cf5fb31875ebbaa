"""Draw a synthetic micrograph of each recipe over its labels: ``python docs/make/synthetic_figure.py [--out DIR]``.

It writes ``synthetic.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from phaseguide.datasets.synthetic.drawing import draw_field
from phaseguide.datasets.synthetic.recipes import RECIPES
from phaseguide.datasets.synthetic.settings import SyntheticSettings

DOCS = Path(__file__).parents[1]
GAP = 6


def draw_recipe(recipe: str) -> np.ndarray:
    """An image, and below it its labels in the colours of their phases; the bar is black."""
    settings = SyntheticSettings(recipe=recipe, height=256, width=224, length_px=24.0, seed=3)
    field, colours = draw_field(settings, 1), np.zeros((256, 3), np.uint8)
    for phase in settings.scheme:
        colours[phase.label] = np.round(255 * np.array(to_rgb(phase.colour)))
    gap = np.full((GAP, settings.width, 3), 255, np.uint8)
    return np.concatenate([field.image[..., None].repeat(3, axis=2), gap, colours[field.labels]])


def main() -> None:
    """Put the recipes side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    columns: list[np.ndarray] = []
    for recipe in RECIPES:
        column = draw_recipe(recipe)
        columns += [column, np.full((len(column), GAP, 3), 255, np.uint8)]
    Image.fromarray(np.concatenate(columns[:-1], axis=1)).save(options.out / "synthetic.png", optimize=True)


if __name__ == "__main__":
    main()
