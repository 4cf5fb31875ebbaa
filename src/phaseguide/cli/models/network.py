"""Network of a model for ``phaseguide models show``, and ``phaseguide models merge``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.cli.shared.output import make_table, say
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from phaseguide.models.card import Card
    from phaseguide.models.summary import Count

_MODULES = {
    "encoder": "encoder",
    "adapters": "adapters (LoRA)",
    "guidance": "guidance",
    "decoder": "decoder",
    "all": "all",
}


def network_rows(card: Card) -> list[tuple[str, str]]:
    """What the card says of the network, for the table of `show`: backbone, base weights, adapters."""
    from phaseguide.models.sam.weights import base_title, missing_base

    backbone = card.backbone
    rows = [
        ("network", f"{backbone.architecture}, encoder {backbone.encoder}, guidance {card.guidance.kind}")
    ]
    sha256, adapter = card.base_sha256, backbone.adapter
    if sha256:
        missing = missing_base(card)
        at_hand = f"not at hand; {missing}" if missing else "at hand"
        rows.append(("base weights", f"{base_title(sha256, backbone.encoder)}, {at_hand}"))
        rows.append(("base checksum", sha256))
    if adapter.get("merged"):
        rows.append(("adapters", "merged into the encoder; no base weights are needed"))
    elif adapter:
        blocks = adapter.get("blocks")
        which = f"the last {blocks} blocks" if blocks else "all blocks"
        rows.append(("adapters", f"LoRA of rank {adapter.get('rank')}, on {which}"))
    return rows


def count_parameters(card: Card) -> tuple[dict[str, Count], str]:
    """Parameters by module; where they cannot be counted, none, and the reason."""
    from phaseguide.models.summary import count_of_card

    try:
        return count_of_card(card), ""
    except (ModelError, ImportError) as error:
        return {}, str(error)


def parameter_table(counts: dict[str, Count]) -> Table:
    """Table of parameters by module, in millions."""
    table = make_table("Parameters, millions", ("module", "trained", "in all"), left=1)
    for name, count in counts.items():
        numbers = (f"{count.trainable / 1e6:.3f}", f"{count.total / 1e6:.3f}")
        table.add_row(_MODULES.get(name, name), *numbers)
    return table


def as_json(counts: dict[str, Count]) -> dict[str, Any] | None:
    """Parameters by module for programs; None where they were not counted."""
    return {name: count._asdict() for name, count in counts.items()} or None


def merge_files(source: Path, target: Path) -> None:
    """Merge a model's adapters into its base weights and say where the file is."""
    from phaseguide.models.merging import merging_model

    path = draw(merging_model(source, target))
    size = path.stat().st_size / 1e6
    say(f"Merged into {path} ({size:.0f} MB)")
