"""What the chosen start lacks: weights of Segment Anything, which are asked for as soon as it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.widgets.finetune.panel import IMAGENET, SAM, SAM_SIZE

if TYPE_CHECKING:
    from phaseguide.widgets.finetune.panel import FinetunePanel

FIRST = "Get the weights of Segment Anything first: Download or Choose file, above."


def ask_for_weights(panel: FinetunePanel) -> bool:
    """Show what the chosen start lacks, or hide that; True where it lacks something. No file of weights is read."""
    from phaseguide.models.sam.shapes import official_file
    from phaseguide.models.sam.weights import missing_base, probably_present

    goal, card = panel.goal.currentData(), panel.model_box.card
    if goal == SAM:
        sha256 = official_file(SAM_SIZE).sha256
        if not probably_present(sha256):
            panel.weights.ask("A new model from Segment Anything", sha256, SAM_SIZE)
            return True
    elif goal != IMAGENET and card is not None and missing_base(card):
        panel.weights.ask_for(card)
        return True
    panel.weights.dismiss()
    return False
