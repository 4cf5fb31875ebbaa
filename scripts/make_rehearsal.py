"""Cut the rehearsal crops of a shipped model out of the images that it was trained on.

    python scripts/make_rehearsal.py DATASET --model uhcs

One square a training image: the one that holds the most phases in the most even shares. Images that
validated the model are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.finetuning.rehearsal import rehearsal_folder
from phaseguide.models.zoo import open_model
from phaseguide.training.data import seen_images

SIDE = 256
STEP = 32


def best_square(labels: np.ndarray, n_phases: int) -> tuple[int, int]:
    """Top and left of the square with the highest entropy of its phase shares."""

    def entropy(place: tuple[int, int]) -> float:
        top, left = place
        counts = np.bincount(labels[top : top + SIDE, left : left + SIDE].ravel(), minlength=n_phases + 1)
        shares = counts[1 : n_phases + 1] / max(1, counts[1 : n_phases + 1].sum())
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    height, width = labels.shape
    places = [(t, s) for t in range(0, height - SIDE + 1, STEP) for s in range(0, width - SIDE + 1, STEP)]
    return max(places, key=entropy)


def main() -> None:
    """Write images/, labels/ and scheme.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="uhcs")
    given = parser.parse_args()
    card = open_model(given.model).card
    judged = set(card.training["images"]["validation"])
    wanted = sorted(seen_images(card) - judged)
    folder = rehearsal_folder() / given.model
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for item in open_dataset(given.dataset).only(wanted).items:
        image = item.read_image().data
        labels = item.read_labels(card.scheme, (image.shape[0], image.shape[1]))
        top, left = best_square(labels, len(card.scheme))
        window = (slice(top, top + SIDE), slice(left, left + SIDE))
        Image.fromarray(image[window]).save(folder / "images" / f"{item.stem}.png", optimize=True)
        Image.fromarray(labels[window]).save(folder / "labels" / f"{item.stem}.png", optimize=True)
    text = json.dumps(card.scheme.to_dict(), indent=2, ensure_ascii=False)
    (folder / "scheme.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
