"""Out-of-fold scores: what each image looks like to a network that has not seen it, kept as one file an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset, Item
from phaseguide.evaluation.confusion import confusion_matrix
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.micrographs.validation import check_shape
from phaseguide.models.card import InferenceCard
from phaseguide.models.model_file import LoadedModel, load_model, read_card
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.segmentation.network.device import choose_device
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session
from phaseguide.training.crossfit.fold_models import FoldTrained
from phaseguide.training.crossfit.parts import Parts

About = Mapping[str, Any]

_FORMAT = 1
_KEY = "phaseguide_scores"
_SUM = "sha256"
_LOWEST = -60_000.0  # the lowest log probability that float16 holds, with some room
_CHANGES = {  # what a file says of itself, in the order in which a difference explains the others
    "image_sha256": "the image was changed",
    "labels_sha256": "its labels were changed",
    "model": "the model of its fold is another one",
    "inference": "models are run in another way",
    "device": "it is another kind of device",
    "image": "they are of an image of another name",
    "format": "they were written by another version",
}
_DAMAGED = "the file is damaged"
BYTES_A_PIXEL = 6
"""Of a file beside the 2 bytes of each phase: grey value, label, and whether it is excluded."""


@dataclass(frozen=True)
class CrossfitImage:
    """One image as a network saw it that had not learnt from it; the large arrays are read when they are asked for.

    They are those of the window of `phaseguide.models.metal.Metal`, of shape (h, w).

    Attributes
    ----------
    stem, fold : str
    path : Path
        The file; it must not change while this is used.
    own : ndarray of float64, shape (K,)
        Area shares of the map without a ratio, over all of the image that is not excluded.
    confusion : ndarray of int64, shape (K, K + 1)
        Of that map, see `confusion_matrix`.
    """

    stem: str
    fold: str
    path: Path
    own: NDArray[np.float64]
    confusion: NDArray[np.int64]

    @property
    def scores(self) -> NDArray[np.float32]:
        """Log probabilities without a ratio, shape (K, h, w)."""
        return np.asarray(self._read("scores"), dtype=np.float32)

    @property
    def grey(self) -> NDArray[np.float32]:
        """Grey values as the network sees them."""
        return np.asarray(self._read("grey"), dtype=np.float32)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """True labels: 0 not classified, 1..K, 255 excluded."""
        return np.asarray(self._read("labels"), dtype=np.uint8)

    @property
    def excluded(self) -> NDArray[np.bool_] | None:
        """What counts nowhere because it is no metal; None where there is no such pixel."""
        excluded = np.asarray(self._read("excluded"), dtype=np.bool_)
        return excluded if excluded.any() else None

    @property
    def own_labelled(self) -> NDArray[np.float64]:
        """As ``own``, over the labelled pixels only, to be compared with ``true``."""
        seen: NDArray[np.float64] = self.confusion.sum(0)[: len(self.confusion)] / self.confusion.sum()
        return seen

    @property
    def true(self) -> NDArray[np.float64]:
        """Area shares of the labels."""
        shares: NDArray[np.float64] = self.confusion.sum(1) / self.confusion.sum()
        return shares

    def _read(self, name: str) -> Any:
        from safetensors import safe_open

        with safe_open(self.path, framework="np") as file:
            return file.get_tensor(name)


def out_of_fold(
    dataset: Dataset,
    models: Sequence[FoldTrained],
    parts: Parts,
    *,
    inference: InferenceCard | None = None,
    device: str = "auto",
) -> Generator[Progress | Notice, None, list[CrossfitImage]]:
    """Score every tested image with the model of its fold, without a ratio, and keep what that gives.

    With ``inference`` the models run in this way instead of as their own cards say. A file of the same model, image,
    labels and settings is not made again.
    """
    items = {item.stem: item for item in dataset.items}
    total = sum(len(fold.test) for fold in models)
    images: list[CrossfitImage] = []
    for fold in models:
        model: LoadedModel | None = None
        card = read_card(fold.path)
        settings = {
            "format": _FORMAT,
            "model": card.tensors_sha256,
            "inference": (inference or card.inference).model_dump(exclude={"mode"}),
            "device": choose_device(device).kind,
        }
        for stem in fold.test:
            yield Progress("Segmenting images by models that have not seen them", len(images), total)
            field = _read(items[stem], card.scheme)
            path, about = parts.scores(stem), {**settings, "image": stem, **field.checksums()}
            fits = path.exists()
            if fits and (reason := _misfit(path, about)):
                yield Notice(f"{stem}: {reason}, so its scores ({path.name}) are made anew.")
                fits = False
            if not fits:
                if model is None:
                    model = load_model(fold.path)
                    told = model.card.model_copy(update={"inference": inference or card.inference})
                    model = replace(model, card=told)
                yield from _score(model, field, path, about, device)
            images.append(_open(path, stem, fold.fold))
    return images


@dataclass(frozen=True)
class _Field:
    """An image, its labels, and what every session on it leaves out, which no label makes metal."""

    pixels: NDArray[Any]
    labels: NDArray[np.uint8]
    left_out: NDArray[np.uint8] | None
    name: str

    def checksums(self) -> About:
        """What tells this image and these labels from others."""
        return {
            "image_sha256": sha256_of_array(self.pixels),
            "labels_sha256": sha256_of_array(self.labels),
        }


def _read(item: Item, scheme: PhaseScheme) -> _Field:
    micrograph, name = item.read_image(), str(item.image_path)
    pixels = micrograph.data
    check_shape(pixels, name)
    labels, left_out = (
        item.read_labels(scheme, (pixels.shape[0], pixels.shape[1])),
        micrograph.excluding(None),
    )
    if left_out is not None:
        labels = np.where(left_out == EXCLUDED, np.uint8(EXCLUDED), labels)
    return _Field(pixels, labels, left_out, name)


def _score(
    model: LoadedModel, field: _Field, path: Path, about: About, device: str
) -> Generator[Notice, None, None]:
    labels, k = field.labels, len(model.card.scheme)
    # The labels have no part in what is segmented.
    session = Session(
        model, field.pixels, edits=field.left_out, device=device, name=field.name, embeddings="off"
    )
    for event in session.segment(Request()):
        if isinstance(event, Notice):
            yield event
        elif isinstance(event, Finished):
            result: Segmentation = event.result
    assert session.scores is not None
    metal = session.metal
    grey = metal.planes().mean(0)
    tensors = {
        "scores": _log_probabilities(np.asarray(session.scores[:, *metal.window])).astype(np.float16),
        "grey": grey,
        "labels": labels[metal.window],
        "excluded": np.zeros(grey.shape, dtype=np.bool_) if metal.excluded is None else metal.excluded,
        "own": np.asarray(result.own, dtype=np.float64),
        "confusion": confusion_matrix(labels, result.own_labels, k),
    }
    _write(path, about, tensors)


def _log_probabilities(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted: NDArray[np.float32] = scores - scores.max(axis=0)
    shifted -= np.log(np.exp(shifted).sum(axis=0))
    return np.maximum(shifted, np.float32(_LOWEST), out=shifted)


def _write(path: Path, about: About, tensors: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    told = json.dumps(about, sort_keys=True)
    write_bytes(path, save(whole, metadata={_KEY: told, _SUM: _checksum(told, whole)}))


def _misfit(path: Path, about: About) -> str:
    """Say in which way a file is not of this model, image, labels and settings, or not sound; empty where it is."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            told = metadata.get(_KEY, "")
            if told != json.dumps(about, sort_keys=True):
                before, now = json.loads(told), json.loads(json.dumps(about))
                return next(words for key, words in _CHANGES.items() if before.get(key) != now[key])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return "" if metadata.get(_SUM) == _checksum(told, tensors) else _DAMAGED
    except MemoryError:
        raise
    except Exception:  # a damaged file makes safetensors raise whatever it likes
        return _DAMAGED


def _checksum(told: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(told.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"|{name}|{tensor.dtype.str}|{tensor.shape}|".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _open(path: Path, stem: str, fold: str) -> CrossfitImage:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return CrossfitImage(stem, fold, path, file.get_tensor("own"), file.get_tensor("confusion"))
