"""Label maps: where labels that were corrected elsewhere are taken over."""

from __future__ import annotations

import numpy as np

from phaseguide.labels import where_corrected


def test_where_corrected() -> None:
    result = np.array([1, 1, 1, 1, 2, 2], dtype=np.uint8)
    edits = np.array([0, 0, 2, 2, 0, 1], dtype=np.uint8)
    said = np.array([1, 2, 2, 1, 0, 255], dtype=np.uint8)
    assert where_corrected(said, edits, result).tolist() == [False, True, False, True, False, True]
    assert where_corrected(said, edits, None).tolist() == [True, True, False, True, False, True]
