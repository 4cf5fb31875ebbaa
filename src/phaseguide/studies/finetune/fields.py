"""A story of one specimen: what strokes on one part of a micrograph teach about the rest of it, and about others.

Two images of a fold are cut in two. The left halves are corrected, once; the right halves, beyond a gap, stand for
other fields of the same specimens; the other images of the fold are other specimens. All methods learn from the same
strokes and are judged on the same pixels as the model before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from phaseguide.events import Progress
from phaseguide.finetuning.config import PRESETS
from phaseguide.models.card import ScoreHeadCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.studies.finetune.data import Field, Strokes, cut_rehearsal, seeded
from phaseguide.studies.finetune.methods import NetworkMethod, counted
from phaseguide.studies.finetune.scenarios import Row, StoryOptions, Turn, said
from phaseguide.studies.finetune.simulated_user import correcting_strokes

FIELDS = "other fields"

BEFORE, TUNED, HEAD = "before", "fine-tuned", "score head refitted"
DECIDES = "score head as it was, deciding alone"
"""A control: without it, what the refitted head gains could be what any head gains where no ratio is given."""

ALL_LABELS = "fine-tuned, all labels"
NO_HEAD = ", no head"
"""What a method that matches without the score head adds to its name."""

GAP = 32
"""Between the halves, px."""


def other_fields(turn: Turn, options: StoryOptions) -> Iterator[Progress | Row]:
    """Correct the left halves of two images, and learn from that in several ways.

    Yields a row a method: ``unpainted`` pixels of the left halves, the right halves (``field``) and the ``others``
    without a ratio, and the last two matched to the ratio of simulated experts. The fold's model begins with the score
    head of ``turn``. *all labels* teaches all pixels of the left halves, and is judged on none of them.
    """
    seed, most = options.seed, options.budget * options.known_rounds
    scheme, config = turn.scheme, options.known_config
    pairs = [halves(one) for one in turn.painted(2)]
    painted, parts = [left for left, _ in pairs], ([right for _, right in pairs], turn.others(2))
    start = with_head(turn.model, turn.head)
    rehearsal, _ = cut_rehearsal(turn.old, options.rehearsal_px, seed)
    before = NetworkMethod(BEFORE, start, config)
    strokes, every = Strokes(), Strokes()
    for one in painted:
        rng = seeded(seed, FIELDS, turn.fold, one.stem)
        budget = int(most * one.truth.size)
        strokes.add(
            one,
            correcting_strokes(one.truth, before.predict(one), strokes.of(one), len(scheme), budget, rng),
        )
        every.add(one, one.truth)
    head = PRESETS["score head"].changed(device=config.device, threads=config.threads, seed=seed)
    deciding = None if turn.head is None else turn.head.model_copy(update={"alone": True})
    methods = (
        (before, None),
        (NetworkMethod(DECIDES, with_head(turn.model, deciding), config), None),
        (NetworkMethod(HEAD, start, head, rehearsal), strokes),
        (NetworkMethod(TUNED, start, config, rehearsal), strokes),
        (NetworkMethod(ALL_LABELS, start, config, rehearsal), every),
    )
    for method, taught in methods:
        seconds = None
        if taught is not None:
            began = time.process_time()
            yield from said(method.learn(taught, painted[0]), f"{FIELDS}, fold {turn.fold}, {method.name}")
            seconds = time.process_time() - began
        left_out = every if taught is every else strokes
        yield _row(turn, method, painted, parts, left_out, seconds, seed)
        if method.name in (BEFORE, TUNED):
            bare = NetworkMethod(method.name + NO_HEAD, with_head(method.model, None), config)
            yield _row(turn, bare, painted, parts, left_out, None, seed)


def halves(one: Field) -> tuple[Field, Field]:
    """Cut an image in two, the left and the right half, as if they were two fields."""
    middle = one.truth.shape[1] // 2
    left, right = slice(None, middle - GAP // 2), slice(middle + GAP // 2, None)
    return (
        Field(f"{one.stem} left", one.image[:, left], one.truth[:, left]),
        Field(f"{one.stem} right", one.image[:, right], one.truth[:, right]),
    )


def with_head(model: LoadedModel, head: ScoreHeadCard | None) -> LoadedModel:
    """Return a model with another score head, or with none."""
    calibration = model.card.calibration.model_copy(update={"head": head})
    return replace(model, card=model.card.model_copy(update={"calibration": calibration}))


def _row(
    turn: Turn,
    method: NetworkMethod,
    painted: Sequence[Field],
    parts: tuple[Sequence[Field], Sequence[Field]],
    strokes: Strokes,
    seconds: float | None,
    seed: int,
) -> Row:
    k = len(turn.scheme)
    counts = {"unpainted": [(strokes.unpainted_truth(one), method.predict(one)) for one in painted]}
    for name, some in zip(("field", "others"), parts, strict=True):
        counts[name] = [(one.truth, method.predict(one)) for one in some]
        matched = [(one.truth, p) for one in some for p in method.predict_matched(one, seed)]
        counts[f"{name}_matched"] = matched
    return {
        "story": FIELDS,
        "fold": turn.fold,
        "painted": turn.painted(1)[0].stem,
        "method": method.name,
        "round": 0 if seconds is None else 1,
        "painted_px": strokes.pixels,
        **{name: counted(pairs, k) for name, pairs in counts.items()},
        "cpu_s": seconds,
    }
