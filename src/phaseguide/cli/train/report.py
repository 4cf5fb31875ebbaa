"""What ``phaseguide train`` reports of a model that has learnt from a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.cli.shared.output import make_table, page, percent, write_json

CROSSFIT = "crossfit"
"""Entry of a card's scores that the fold models of a cross-fit made."""

if TYPE_CHECKING:
    from pathlib import Path

    from phaseguide.models.card import Card
    from phaseguide.training.events import TrainingResult


def report(result: TrainingResult, card: Card, out: Path, json_target: str | None) -> None:
    """Print what a model scores on images that it has not learnt from, and where it is."""
    scores = card.scores.get("validation", {})
    unseen = card.scores.get(CROSSFIT)
    further = {key: one for key, one in result.card.scores.items() if key not in ("validation", CROSSFIT)}
    console = page(json_target)
    if scores:
        table = make_table(f"{card.name}: on the validation images, without a ratio", ("", "Dice %", "IoU %"))
        for phase in card.scheme.names:
            table.add_row(phase, percent(scores["dice"][phase]), percent(scores["iou"][phase]))
        table.add_section()
        table.add_row("mean over phases", percent(scores["dice_mean"]), percent(scores["miou"]))
        console.print(table)
    folds = {"the images of the folds, by models that had not seen them": unseen} if unseen else {}
    for words, one in {**further, **folds}.items():
        told = f"Dice {percent(one['dice_mean'])} %, mIoU {percent(one['miou'])} %"
        console.print(f"On {words}: {told}.", soft_wrap=True)
    if result.stopped_early:
        console.print("Stopped early, since the validation did not improve.")
    console.print(f"Model written to {out}", soft_wrap=True)
    write_json(
        json_target,
        {
            "model": str(out),
            "name": card.name,
            "epochs": len(result.history),
            "seconds": result.record.get("seconds"),
            "stopped_early": result.stopped_early,
            "images": result.record.get("images"),
            "validation": scores,
            **({"further": further} if further else {}),
            **({"crossfit": unseen, "folds": result.record["folds"]} if unseen else {}),
        },
    )
