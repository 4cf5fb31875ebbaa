"""One model, one ``.safetensors``: weights, and in the metadata a JSON card with a checksum of the tensors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from phaseguide.errors import MissingBaseError, ModelError, PhaseguideError, is_out_of_memory
from phaseguide.files.atomic import write_bytes
from phaseguide.files.foreign import open_plain
from phaseguide.files.json_files import parse_json
from phaseguide.micrographs.records import sha256_of_file
from phaseguide.models.architectures import check_backbone, check_guidance
from phaseguide.models.card import FORMAT_VERSION, BackboneCard, Card, GuidanceCard
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.old_names import current_tensors
from phaseguide.models.training_record import as_stored, only_finite

if TYPE_CHECKING:
    from torch import Tensor

    from phaseguide.models.segmenter import GuidedSegmenter

METADATA_KEY = "phaseguide_card"
MOST_HEADER_BYTES = 8_000_000
"""Of the list of tensors and the card; a hundred times what models have."""

TensorKinds = dict[str, tuple[str, tuple[int, ...]]]
"""Type, as safetensors writes it, and shape of each tensor of a file."""

_FLOATS = {"F16", "BF16", "F32", "F64"}


@dataclass(frozen=True)
class UsedModel:
    """What a record tells of the model that was run.

    Attributes
    ----------
    card : Card
    path : Path
        Its file.
    sha256 : str
        Checksum of that file when the model was loaded, 64 hex digits; empty for a model that is in no file.
    """

    card: Card
    path: Path
    sha256: str = ""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: the segmenter in evaluation mode on the CPU, and what a record tells of it."""

    segmenter: GuidedSegmenter
    card: Card
    path: Path
    sha256: str = ""

    @property
    def used(self) -> UsedModel:
        """The model without its weights, for the records of what it made."""
        return UsedModel(self.card, self.path, self.sha256)


def _find_base(path: Path, sha256: str) -> None:
    from phaseguide.models.sam.weights import find_base

    try:
        find_base(sha256)
    except ModelError as error:
        raise MissingBaseError(
            f"{path}: holds adapters, and the weights below them are not at hand. {error}", sha256
        ) from error


def _check_base_is_named(segmenter: GuidedSegmenter) -> None:
    adapter = segmenter.backbone.options.adapter
    if adapter and not adapter["base"] and not adapter["merged"]:
        raise ModelError(
            "This model sits on random base weights, which are good for measuring speed only. Start it from the "
            "official weights (load_pretrained) and train it before it is saved."
        )


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
    data, card = model_bytes(segmenter, card)
    write_bytes(path, data)
    return card


def model_bytes(segmenter: GuidedSegmenter, card: Card) -> tuple[bytes, Card]:
    """Return what `save_model` writes, and the card as stored; errors of the model as there."""
    from safetensors.torch import save

    _check_base_is_named(segmenter)
    parameters = {name for name, _ in segmenter.named_parameters()}
    tensors = {
        name: (_halved(t) if name in parameters else t.detach().cpu()).contiguous()
        for name, t in segmenter.state_dict().items()
    }
    card = card.model_copy(
        update={
            "phases": segmenter.scheme.to_dict()["phases"],
            "backbone": BackboneCard(**segmenter.backbone.options.to_dict()),
            "guidance": GuidanceCard(**asdict(segmenter.guidance_options)),
            "training": as_stored(card.training),
            "scores": only_finite(card.scores),
            "tensors_sha256": tensors_sha256(tensors),
        }
    )
    # One key with sorted JSON: several keys would be written in another order by every process.
    text = json.dumps(card.model_dump(), sort_keys=True, ensure_ascii=False)
    return save(tensors, metadata={METADATA_KEY: text}), card


def _halved(tensor: Tensor) -> Tensor:
    """A tensor in half precision, or as it is where its numbers are too large for that."""
    import torch

    half = tensor.detach().cpu().to(torch.float16)
    return half if bool(torch.isfinite(half).all()) else tensor.detach().cpu()


def read_card(path: str | Path) -> Card:
    """Read only the card of a model file; quick, and without torch.

    Raises
    ------
    ModelError
        Missing, not a model file, damaged header, or written by a newer format.
    """
    return _read_header(Path(path))[0]


def _read_header(path: Path) -> tuple[Card, TensorKinds]:
    """The card of a model file, and which tensors it says that it holds."""
    try:
        with open_plain(path) as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= MOST_HEADER_BYTES:
                raise ValueError("no safetensors header")
            header = parse_json(file.read(size))
        metadata = header.pop("__metadata__", {})
        text = metadata.get(METADATA_KEY)
        kinds = {
            str(name): (str(about["dtype"]), tuple(map(int, about["shape"])))
            for name, about in header.items()
        }
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise ModelError(
            f"{path}: not a model file, or truncated. Expected a .safetensors file written by Phase Guide."
        ) from error
    if text is None:
        raise ModelError(
            f"{path}: a safetensors file, but without a Phase Guide card. Choose a model that Phase Guide saved."
        )
    return _parse_card(path, text), kinds


def _parse_card(path: Path, text: Any) -> Card:
    """Check everything that a card says before anything uses it."""
    try:
        data = parse_json(text)
        version = data["format_version"]
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= 1_000_000:
            raise ValueError("its format_version is no number of a format")
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path}: its card is damaged ({str(error)[:200]}). Get the file again.") from error
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: written in format {version}, newer than this program reads ({FORMAT_VERSION}). "
            "Update napari-phaseguide."
        )
    try:
        return check_card(data)
    except ModelError as error:
        raise ModelError(f"{path}: its card is not valid: {error} Get a sound copy.") from error


def check_card(data: dict[str, Any]) -> Card:
    """Return the card that JSON values make.

    Raises
    ------
    ModelError
        Says which value is not what it should be.
    """
    try:
        card = Card.model_validate(data)
        _ = card.scheme
        backbone = card.backbone
        check_backbone(backbone.architecture, backbone.encoder, backbone.decoder, backbone.adapter)
        check_guidance(card.guidance.kind, card.guidance.options)
    except (ValidationError, PhaseguideError) as error:
        raise ModelError(first_reason(error)) from error
    return card


def first_reason(error: ValidationError | PhaseguideError) -> str:
    """The first thing that is wrong, as one sentence of moderate length."""
    if isinstance(error, PhaseguideError):
        return str(error)[:300]
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"])
    told = first["msg"].removeprefix("Value error, ")
    value = f" (it is {repr(first['input'])[:60]})" if where else ""
    return f"{where}{': ' if where else ''}{told}{value}."[:300]


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
    if base := model.card.base_sha256:
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
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from phaseguide.models.on_meta import on_meta
    from phaseguide.models.segmenter import GuidedSegmenter

    path = Path(path)
    card, kinds = _read_header(path)
    checksum = sha256_of_file(path)

    def build() -> GuidedSegmenter:
        try:
            return GuidedSegmenter.from_card(card)
        except (ModelError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            raise _Unfit(str(error)) from error

    try:
        with on_meta():  # what a small file names may be huge: nothing is built before it fits the tensors
            today = current_tensors(kinds)
            if len(set(today.values())) < len(today):
                raise _Unfit("the file has tensors by old and by new names.")
            _check_fit(build().state_dict(), {today[name]: kind for name, kind in kinds.items()})
        tensors = load_file(path)
        if tensors_sha256(tensors) != card.tensors_sha256:
            raise ModelError(
                f"{path}: its weights do not match their checksum; the file is damaged. Get it again."
            )
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise ModelError(
                    f"{path}: its weights hold numbers that are not finite ({name}), so it cannot segment. Train it "
                    "again, or get another copy."
                )
        segmenter = build()
        segmenter.load_state_dict(
            {today[name]: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
        )
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: its weights cannot be read, the file is truncated or damaged ({error})."
        ) from error
    except _Unfit as error:
        raise ModelError(
            f"{path}: its weights do not fit the architecture that its card names: {str(error)[:300]}"
        ) from error
    segmenter.eval()
    return LoadedModel(segmenter, card, path, checksum)


class _Unfit(Exception):
    """The tensors of a file are not those of the network that its card names."""


def _check_fit(wanted: dict[str, Tensor], kinds: TensorKinds) -> None:
    """Compare names, shapes and types of tensors."""
    for name in sorted(wanted.keys() | kinds.keys()):
        if name not in kinds:
            raise _Unfit(f"the file has no {name}.")
        if name not in wanted:
            raise _Unfit(f"the file has {name[:80]!r}, which is no part of it.")
        tensor, (kind, shape) = wanted[name], kinds[name]
        if tuple(tensor.shape) != shape:
            raise _Unfit(
                f"{name} has the shape {list(shape)[:8]} in the file and {list(tensor.shape)} in it."
            )
        if (kind in _FLOATS) != tensor.is_floating_point():
            raise _Unfit(f"{name} has the type {kind[:20]} in the file and {tensor.dtype} in it.")
