"""Make the strokes that ship with the sample uhcs0220, for the tutorial.

    python scripts/make_strokes.py

They stand for a user's: the true phase where the model `uhcs` is wrong on this image without a ratio, with
a round brush, 1 % of the pixels, by the simulated user of the fine-tuning benchmark (seed 0).
"""

from __future__ import annotations

import numpy as np

from phaseguide.datasets.samples import open_sample, strokes_file
from phaseguide.micrographs.label_maps import write_label_map
from phaseguide.models.zoo import open_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.finetune.simulated_user import correcting_strokes

NAME, SHARE = "uhcs0220", 0.01


def main() -> None:
    """Predict, correct, write."""
    sample = open_sample(NAME)
    predicted = run_to_end(Session(open_model("uhcs"), sample.image).segment(Request())).labels
    strokes = correcting_strokes(
        sample.labels,
        predicted,
        np.zeros_like(sample.labels),
        len(sample.scheme),
        int(SHARE * sample.labels.size),
        np.random.default_rng(0),
    )
    write_label_map(strokes_file(NAME), strokes)
    print(f"{np.count_nonzero(strokes)} pixels in {strokes_file(NAME)}")


if __name__ == "__main__":
    main()
