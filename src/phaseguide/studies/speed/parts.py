"""What the first result of an image is made of: seconds of the encoder, of the decoder, and of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.request import FirstLook, Request
from phaseguide.segmentation.session import Session

FIRST, SECOND = "first look", "second look"
PARTS = (
    "opening the image",
    f"{FIRST}: encoder",
    f"{FIRST}: decoder",
    f"{FIRST}: the rest",
    f"{SECOND}: encoder",
    f"{SECOND}: decoder",
    f"{SECOND}: the rest",
)
"""In the order in which they come; labels belong to the rest of the last look."""

READY = "getting ready for a ratio, afterwards"


def first_result(
    open_session: Callable[[], Session], wait: Callable[[], object]
) -> tuple[Session, dict[str, float], float | None]:
    """Segment a new image without a ratio.

    Parameters
    ----------
    open_session : callable
    wait : callable
        Returns when the device has done all that it was given.

    Returns
    -------
    session : Session
    parts : dict of float
        Seconds on the clock, by the names of `PARTS` and `READY`.
    first_look_s : float or None
        Seconds until a first mask was there, where that is before the result.
    """
    parts = dict.fromkeys(PARTS, 0.0)
    begun = now = time.perf_counter()
    look, first_look_s = FIRST, None

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
    return session, parts, first_look_s


@contextmanager
def _watched(spent: Callable[[str], None]) -> Iterator[None]:
    """Tell when the encoder and the decoder of any network have run, and before that when the rest has."""
    real = {"encoder": GuidedSegmenter.encode, "decoder": GuidedSegmenter.decode}

    def watch(part: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            spent("the rest")
            result = real[part](*args, **kwargs)
            spent(part)
            return result

        return run

    try:
        for part, name in (("encoder", "encode"), ("decoder", "decode")):
            setattr(GuidedSegmenter, name, watch(part))
        yield
    finally:
        GuidedSegmenter.encode, GuidedSegmenter.decode = real["encoder"], real["decoder"]  # type: ignore[method-assign]
