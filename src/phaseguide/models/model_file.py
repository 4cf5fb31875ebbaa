"""One model, one ``.safetensors``: weights, and in the metadata a JSON card with a checksum of the tensors."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from phaseguide.atomic import write_bytes
from phaseguide.errors import MissingBaseError, ModelError, PhaseguideError
from phaseguide.models.card import FORMAT_VERSION, BackboneCard, Card, GuidanceCard

if TYPE_CHECKING:
    from torch import Tensor

    from phaseguide.models.segmenter import GuidedSegmenter

METADATA_KEY = "phaseguide_card"


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: the segmenter in evaluation mode on the CPU, its card and its file."""

    segmenter: GuidedSegmenter
    card: Card
    path: Path


def _find_base(path: Path, sha256: str) -> None:
    from phaseguide.models.sam.base_weights import find_base

    try:
        find_base(sha256)
    except ModelError as error:
        raise MissingBaseError(
            f"{path}: holds adapters, and the weights below them are not at hand. {error}", sha256
        ) from error


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Checksum over names, types, shapes and bytes of all tensors, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(_byte_type()).numpy().tobytes())
    return digest.hexdigest()


def _check_base_is_named(segmenter: GuidedSegmenter) -> None:
    adapter = segmenter.backbone.options.adapter
    if adapter and not adapter["base"] and not adapter["merged"]:
        raise ModelError(
            "This model sits on random base weights, which are good for measuring speed only. Start it from the "
            "official weights (load_pretrained) and train it before it is saved."
        )


def _byte_type() -> Any:
    import torch

    return torch.uint8


def save_model(path: str | Path, segmenter: GuidedSegmenter, card: Card) -> Card:
    """Write a model file; an older file of that name survives until the new one is complete.

    Parameters are stored as float16. Buffers (running statistics) stay float32, since small
    variances fall below the normal range of float16.

    Parameters
    ----------
    path : path
        Should end in ``.safetensors``.
    segmenter : GuidedSegmenter
    card : Card
        Its architecture sections and checksum are replaced by those of the segmenter.

    Returns
    -------
    Card
        As stored.

    Raises
    ------
    ModelError
        Adapters on random weights, which nobody could put together again.
    PhaseguideError
        The file cannot be written.
    """
    import torch
    from safetensors.torch import save

    _check_base_is_named(segmenter)
    parameters = {name for name, _ in segmenter.named_parameters()}
    tensors = {
        name: (t.detach().cpu().to(torch.float16) if name in parameters else t.detach().cpu()).contiguous()
        for name, t in segmenter.state_dict().items()
    }
    card = card.model_copy(
        update={
            "phases": segmenter.scheme.to_dict()["phases"],
            "backbone": BackboneCard(**segmenter.backbone.options.to_dict()),
            "guidance": GuidanceCard(**asdict(segmenter.guidance_options)),
            "tensors_sha256": tensors_sha256(tensors),
        }
    )
    # One key with sorted JSON: several keys would be written in another order by every process.
    text = json.dumps(card.model_dump(), sort_keys=True, ensure_ascii=False)
    write_bytes(path, save(tensors, metadata={METADATA_KEY: text}))
    return card


def read_card(path: str | Path) -> Card:
    """Read only the card of a model file; quick, and without torch.

    Raises
    ------
    ModelError
        Missing, not a model file, damaged header, or written by a newer format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= 50_000_000:
                raise ValueError("no safetensors header")
            header = json.loads(file.read(size))
        text = header.get("__metadata__", {}).get(METADATA_KEY)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: not a model file, or truncated. Expected a .safetensors file written by Phase Guide."
        ) from error
    if text is None:
        raise ModelError(
            f"{path}: a safetensors file, but without a Phase Guide card. Choose a model that Phase Guide saved."
        )
    try:
        data = json.loads(text)
        version = int(data["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: its card is damaged. Get the file again.") from error
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: written in format {version}, newer than this program reads ({FORMAT_VERSION}). "
            "Update napari-phaseguide."
        )
    try:
        card = Card.model_validate(data)
        scheme = card.scheme
    except (ValidationError, PhaseguideError) as error:
        raise ModelError(f"{path}: its card is not valid: {error}") from error
    lengths = {
        len(card.training_ratio_mean),
        len(card.training_ratio_spread),
        len(card.calibration.own_error),
    }
    if lengths != {len(scheme)}:
        raise ModelError(
            f"{path}: its card is not valid: it has {len(scheme)} phases, but statistics of {lengths}."
        )
    return card


def load_model(path: str | Path) -> LoadedModel:
    """Load a model file completely and check it.

    Raises
    ------
    MissingBaseError
        It holds adapters, and the weights that they sit on are not at hand.
    ModelError
        As `check_model`.
    """
    model = check_model(path)
    adapter = model.card.backbone.adapter
    if (base := adapter.get("base")) and not adapter.get("merged"):
        _find_base(model.path, base)
    return model


def check_model(path: str | Path) -> LoadedModel:
    """Check a model file completely, whether or not the weights that its adapters sit on are at hand.

    Returns
    -------
    LoadedModel
        To be run only if `load_model` returns it too.

    Raises
    ------
    ModelError
        As `read_card`; or weights that do not match the checksum or the architecture of the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from phaseguide.models.backbones import BackboneOptions
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter

    path = Path(path)
    card = read_card(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: its weights cannot be read, the file is truncated or damaged ({error})."
        ) from error
    if tensors_sha256(tensors) != card.tensors_sha256:
        raise ModelError(
            f"{path}: its weights do not match their checksum; the file is damaged. Get it again."
        )
    try:
        segmenter = GuidedSegmenter(
            BackboneOptions(**card.backbone.model_dump()),
            GuidanceOptions(**card.guidance.model_dump()),
            card.scheme,
        )
        segmenter.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
        )
    except (ModelError, RuntimeError) as error:
        raise ModelError(
            f"{path}: its weights do not fit the architecture that its card names: {str(error)[:300]}"
        ) from error
    segmenter.eval()
    return LoadedModel(segmenter, card, path)
