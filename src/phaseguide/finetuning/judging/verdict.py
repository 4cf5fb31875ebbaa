"""What came of a run, in sentences that never give a share without what stands behind it."""

from __future__ import annotations

from phaseguide.finetuning.events import FinetuneResult, ValidationScores
from phaseguide.finetuning.judging.evidence import compared

FEW_PIXELS = 200
"""Below so many pixels that judge a score says little."""

FEW_PIXELS_A_PHASE = 50
"""And below so many of one phase, about one dab of a brush, its own score does."""

FEW_PLACES = 6
"""Below so many strokes or blocks a score says little, however many pixels these have."""

UNJUDGED = "Nothing was painted to test it on: look at the preview, or Compare, before you keep it."
NOT_TRAINED = "not trained yet"


def verdict(result: FinetuneResult) -> tuple[str, bool]:
    """Say whether the model got better and what that rests on, and whether that is a warning."""
    before, after = result.before, result.after
    if after is None or after.dice_mean is None:
        return UNJUDGED, False
    pair = compared(before, after)
    new = [s.phase for s in before.phases if not s.trained and s.pixels] if before is not None else []
    if pair is None:
        text = (
            f"There is no number from before, since these phases were {NOT_TRAINED}. Now: {evidence(after)}."
        )
    else:
        was, now = (f"{dice * 100:.1f} %" for dice in pair)
        about = f" without {', '.join(new)}, which was {NOT_TRAINED}" if new else ""
        if pair[1] > pair[0]:
            text = f"The new model is better: mean Dice {was} → {now}{about}."
        elif pair[1] == pair[0]:
            text = f"No better than before: mean Dice {now} in both{about}. Go back, or paint more."
        else:
            text = (
                f"The new model is worse: mean Dice {was} → {now}{about}. Go back, and paint where it fails."
            )
        text += f" {_counted(result)}Now {evidence(after)}."
    if result.better and before is not None and (worst := _worst_loss(before, after)):
        text += f" But {worst}."
    return text + _doubts(after), result.better is False


def evidence(scores: ValidationScores) -> str:
    """The mean Dice with its pixels, by phase, and its range: no share stands alone."""
    if scores.dice_mean is None:
        return "no score"
    by_phase = ", ".join(f"{s.phase}: {s.pixels:,}" for s in scores.phases if s.pixels)
    text = f"{scores.dice_mean * 100:.1f} % on {scores.pixels:,} painted px ({by_phase})"
    return f"{text}, {_range(scores)}"


def range_text(low: float | None, high: float | None) -> str:
    """A range in percent, or nothing."""
    return "" if low is None or high is None else f"{low * 100:.0f}–{high * 100:.0f}"


def _range(scores: ValidationScores) -> str:
    places = "1 place" if scores.places == 1 else f"{scores.places} places"
    return f"range {range_text(scores.low, scores.high)} % (95 %, {places})"


def _counted(result: FinetuneResult) -> str:
    if result.changed is None or result.after is None:
        return ""
    up, down = result.changed
    return f"More pixels are right in {up} of {result.after.places} places, fewer in {down or 'none'}. "


def _doubts(after: ValidationScores) -> str:
    text = ""
    if after.pixels < FEW_PIXELS:
        text += f" Only {after.pixels} px are behind these numbers: they say little."
    elif after.places < FEW_PLACES:
        text += f" Only {after.places} painted places are behind these numbers: they say little."
    elif thin := [f"{s.phase} ({s.pixels} px)" for s in after.phases if 0 < s.pixels < FEW_PIXELS_A_PHASE]:
        text += f" Little is behind the numbers of {', '.join(thin)}."
    if after.unjudged:
        text += (
            f" Nothing was painted to test {', '.join(after.unjudged)} on: what became of that is not known."
        )
    return text


def _worst_loss(before: ValidationScores, after: ValidationScores) -> str:
    """Name the phase that lost most, where that is more than a point of Dice."""
    old = {s.phase: s.dice for s in before.phases if s.dice is not None}
    losses = [
        (old[s.phase] - s.dice, s.phase)
        for s in after.phases
        if s.dice is not None and s.phase in old
    ]  # fmt: skip
    if not losses or max(losses)[0] <= 0.01:
        return ""
    loss, phase = max(losses)
    return f"{phase} lost {loss * 100:.1f}"
