"""What the first result of an image is made of: seconds of the encoder, of the decoder, and of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.network.fast_cpu import OnnxNetwork
from phaseguide.segmentation.request import FirstLook, Request
from phaseguide.segmentation.session import Session

FIRST, SECOND = "first look", "second look"
PARTS = (
    "opening the image",
    f"{FIRST}: encoder",
    f"{FIRST}: decoder",
    f"{FIRST}: ONNX Runtime",
    f"{FIRST}: the rest",
    f"{SECOND}: encoder",
    f"{SECOND}: decoder",
    f"{SECOND}: ONNX Runtime",
    f"{SECOND}: the rest",
)
"""In the order in which they come; labels belong to the rest of the last look."""

READY = "getting ready for a ratio, afterwards"


@dataclass(frozen=True)
class FirstResult:
    """Seconds on the clock of the first segmentation of an image.

    Attributes
    ----------
    parts : dict of float
        By the names of `PARTS` and `READY`.
    look_s : float or None
        Until a first mask was there, where that is before the result.
    """

    parts: dict[str, float]
    look_s: float | None

    @property
    def seconds(self) -> float:
        """Until the result."""
        return sum(self.parts[name] for name in PARTS)


def first_result(open_session: Callable[[], Session], wait: Callable[[], object]) -> FirstResult:
    """Segment a new image without a ratio; ``wait`` returns when the device has done all that it was given."""
    parts = dict.fromkeys(PARTS, 0.0)
    begun = now = time.perf_counter()
    first_look_s: float | None = None
    look = FIRST

    def took() -> float:
        nonlocal now
        wait()
        before, now = now, time.perf_counter()
        return now - before

    def spent(part: str) -> None:
        parts[f"{look}: {part}"] += took()

    session = open_session()
    parts[PARTS[0]] = took()
    with _watched(spent):
        for event in session.segment(Request()):
            if isinstance(event, FirstLook):
                spent("the rest")
                look, first_look_s = SECOND, now - begun
        spent("the rest")
    session.prepare(Request())
    parts[READY] = took()
    return FirstResult(parts, first_look_s)


@contextmanager
def _watched(spent: Callable[[str], None]) -> Iterator[None]:
    """Tell when the encoder and the decoder of any network have run, or both in one, and before that the rest."""
    encode, decode, both = GuidedSegmenter.encode, GuidedSegmenter.decode, OnnxNetwork.scores

    def watched(part: str, real: Callable[..., Any]) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            spent("the rest")
            result = real(*args, **kwargs)
            spent(part)
            return result

        return run

    try:
        GuidedSegmenter.encode = watched("encoder", encode)  # type: ignore[method-assign]
        GuidedSegmenter.decode = watched("decoder", decode)  # type: ignore[method-assign]
        OnnxNetwork.scores = watched("ONNX Runtime", both)  # type: ignore[method-assign]
        yield
    finally:
        GuidedSegmenter.encode, GuidedSegmenter.decode = encode, decode  # type: ignore[method-assign]
        OnnxNetwork.scores = both  # type: ignore[method-assign]
