"""The response of a model to a moved ratio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.models.model_file import load_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.folds.response import measure_response, moved_ratio
from tiny_models import tiny_image, tiny_model


def test_an_information_bar_has_no_part_in_the_response(tmp_path: Path) -> None:
    image = tiny_image(0, (128, 160))
    image[-16:] = 0
    image[-10:-6, 20:60:3] = 255
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "bar.png")
    model = load_model(tiny_model(tmp_path))
    measured = run_to_end(measure_response(open_dataset(tmp_path), model, device="cpu"))[0]

    def expected(edits: np.ndarray | None) -> float:
        session = Session(model, image, edits=edits, device="cpu")
        own = run_to_end(session.segment(Request())).own
        phase = int(own.argmax())
        wanted = [moved_ratio(own, phase, step) for step in (-0.05, 0.05)]
        requests = [Request(asked=w, uncertainty=0.0, mode="conditioned") for w in wanted]
        low, high = (run_to_end(session.segment(r)).achieved[phase] for r in requests)
        assert measured.size == own.size
        return float(abs((high - low) / 0.1 - measured[phase]))

    bar = np.zeros(image.shape, np.uint8)
    bar[-16:] = 255
    assert expected(bar) < 1e-9 < expected(None)
