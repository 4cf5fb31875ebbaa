"""Label maps of both samples with the built-in model, without and with a ratio."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phaseguide.datasets.samples import open_sample
from phaseguide.models.zoo import open_model
from phaseguide.ratios import parse_ratio
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end

HELD = Path(__file__).parent / "held"
ASKED = "carbide network=20%, spheroidite=60%"

MAY_DIFFER = 1e-4
"""Share of the pixels. Two kinds of processor add in another order, so a score that stands between two phases may fall
to either side; a changed model, view, tile or blend moves far more than 30 pixels."""


@pytest.mark.parametrize("sample", ["uhcs0220", "uhcs0495"])
def test_label_maps(sample: str, updating: bool, held: Callable[[str, dict[str, Any]], None]) -> None:
    opened = open_sample(sample)
    session = Session(open_model("uhcs"), opened.image, device="cpu")
    asked = parse_ratio(ASKED, session.scheme)
    requests = {
        "none": Request(),
        "blend": Request(asked=asked, uncertainty=0.3),
        "exact": Request(asked=asked, uncertainty=0.0),
        "both": Request(asked=asked, uncertainty=0.3, mode="both"),
        "cleaned": Request(asked=asked, uncertainty=0.1, smoothing_px=1.0, min_island_px=20),
    }
    found, differ = {}, []
    for name, request in requests.items():
        done = run_to_end(session.segment(request))
        counts = np.bincount(done.labels.ravel(), minlength=256)[1 : len(session.scheme) + 1]
        assert done.achieved == pytest.approx(counts / counts.sum())
        found[name] = {
            **{what: _rounded(getattr(done, what)) for what in ("own", "imposed", "achieved")},
            "mode": done.mode,
            "notices": [re.sub(r"[\d.]*\d", "0", notice) for notice in done.notices],
        }
        path = HELD / f"{sample}_{name}.png"
        if updating:
            _write(path, done.labels)
            continue
        with Image.open(path) as picture:
            before = np.asarray(picture)
        assert before.shape == done.labels.shape
        others = np.count_nonzero(before != done.labels)
        if others > MAY_DIFFER * done.labels.size:
            differ.append(f"{path.name}: {others} of {done.labels.size} pixels")
    assert not differ, "; ".join(differ)
    held(f"{sample}_shares", found)


def _rounded(shares: np.ndarray | None) -> list[float] | None:
    return None if shares is None else [round(share, 4) for share in shares.tolist()]


def _write(path: Path, labels: np.ndarray) -> None:
    # With a palette, so that the file is small and a person sees something.
    picture = Image.fromarray(labels, mode="P")
    colours = [(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)]
    picture.putpalette([part for colour in colours for part in colour])
    picture.save(path, optimize=True)
