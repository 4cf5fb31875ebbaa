"""Embeddings (features) of images, each made once: kept in memory for all sessions, and on disk if wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.models.backbones.base import Features
from phaseguide.models.card import ViewCard
from phaseguide.segmentation.network.embedding_files import EmbeddingError, EmbeddingFolder
from phaseguide.segmentation.network.embedding_keys import (
    About,
    about_features,
    about_name,
    about_running,
    about_scores,
    image_checksum,
    network_keys,
)
from phaseguide.segmentation.network.tiling import Tile

Key = tuple[str, str, str]
"""Image and encoder, features, device."""


class FeatureMemory:
    """Features in memory, shared by all sessions of the process; used least recently first out.

    An image whose features do not all fit keeps the first that come: it is read from front to back again and
    again, and the newest in the place of the oldest would then never be there when it is wanted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Features] = OrderedDict()
        self._users: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def enter(self, user: object, owner: str, room: int) -> None:
        """Note who works on which image with which encoder, and make features fit into its room, in bytes."""
        with self._lock:
            self._users[user] = owner
            self._make_room(owner, 0, max(0, room))

    def get(self, key: Key) -> Features | None:
        """Return features, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, features: Features, room: int) -> None:
        """Keep features if those of their owner fit into ``room`` bytes; others make way for them."""
        size = features.nbytes()
        with self._lock:
            if key in self._kept or self._held(key[0]) + size > room:
                return
            self._make_room(key[0], size, room)
            self._kept[key] = features

    def held(self, owner: str) -> int:
        """Bytes of the features of an image by one encoder."""
        with self._lock:
            return self._held(owner)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()

    def _held(self, owner: str | None) -> int:
        return sum(kept.nbytes() for key, kept in self._kept.items() if owner in (None, key[0]))

    def _make_room(self, owner: str, size: int, room: int) -> None:
        """Let go of features so that ``size`` bytes more fit into ``room``.

        What no session works on any more may take half of it; those of ``owner`` go last.
        """
        alive = set(self._users.values())
        left_over = [key for key in self._kept if key[0] not in alive]
        others = [key for key in self._kept if key[0] in alive and key[0] != owner]
        mine = [key for key in self._kept if key[0] == owner]
        spare = sum(self._kept[key].nbytes() for key in left_over)
        total = self._held(None)
        for key in (*left_over, *others, *mine):
            if total + size <= room and spare <= room // 2:
                return
            gone = self._kept[key].nbytes()
            if key in left_over:
                spare -= gone
            elif total + size <= room:
                return
            del self._kept[key]
            total -= gone


MEMORY = FeatureMemory()
"""That of this process."""


class Embeddings:
    """Features, and scores without a ratio, of one image in one network.

    Both are looked for in memory and on disk before they are made. What the disk gives is bit for bit what was
    made: features are kept in the type that the encoder put out, since half precision changes some labels.

    A network of another kind than `GuidedSegmenter` shares nothing with other sessions. ``room``: bytes that
    features may take in memory, all sessions together. ``made`` counts how often the encoder ran, and whoever tells
    the ``notices`` empties them.
    """

    def __init__(
        self,
        segmenter: nn.Module,
        pixels: NDArray[Any],
        *,
        limits: tuple[float, float],
        invert: bool,
        device: str,
        precision: str,
        room: int,
        folder: EmbeddingFolder | None,
    ) -> None:
        self._keys = network_keys(segmenter)
        self._encoder = f"unknown {uuid4().hex}" if self._keys is None else self._keys.encoder
        self._model = "" if self._keys is None else self._keys.model
        self._segmenter = ref(segmenter)
        self._image = image_checksum(pixels, limits, invert=invert)
        self._device, self._running = torch.device(device), about_running(f"{device} {precision}")
        self._folder = None if self._keys is None else folder
        self._writes = self._folder is not None
        self.made = 0
        self.notices: list[str] = []
        self._owner = f"{self._image} {self._encoder}"
        MEMORY.enter(self, self._owner, room)

    @property
    def on_disk(self) -> bool:
        """Whether they are looked for on disk, and kept there."""
        return self._folder is not None

    @property
    def held(self) -> int:
        """Bytes of this image's features in memory."""
        return MEMORY.held(self._owner)

    def features(self, tile: Tile, view: ViewCard, make: Callable[[], Features], room: int) -> Features:
        """Return the features of one view of a tile; ``make`` runs the encoder, ``room`` is in bytes."""
        about = about_features(self._encoder, tile, view, self._running)
        name = about_name(about)
        key = (self._owner, name, str(self._device))
        kept = MEMORY.get(key)
        on_disk = self._has(name)
        if kept is None and on_disk:
            kept = self._read_features(name, about, tile, view)
            on_disk = kept is not None
        if kept is None:
            kept = make()
            self.made += 1
            if self._changed():
                return kept
        MEMORY.put(key, kept, room)
        if self._writes and not on_disk:
            self._write_features(name, about, kept)
        return kept

    def scores(
        self, tile: Tile, views: Sequence[ViewCard], unsure_below: float | None = None
    ) -> NDArray[np.float32] | None:
        """Return the scores of a tile without a ratio, mean of its views, (K, h, w), if they are on disk."""
        about = about_scores(self._model, tile, views, self._running, unsure_below)
        name = about_name(about)
        unit = self._read(name, about) if self._has(name) else None
        if unit is None or len(unit[0]) != 1 or unit[0][0].dtype != np.float32:
            return None
        scores = unit[0][0]
        segmenter: Any = self._segmenter()
        k = len(scores) if segmenter is None else len(segmenter.scheme)
        fits = scores.shape == (k, tile.height, tile.width) and bool(np.isfinite(scores).all())
        return scores if fits else None

    def keep_scores(
        self,
        tile: Tile,
        views: Sequence[ViewCard],
        scores: NDArray[np.float32],
        unsure_below: float | None = None,
    ) -> None:
        """Keep on disk what `scores` is to return the next time."""
        if self._writes and not self._changed():
            about = about_scores(self._model, tile, views, self._running, unsure_below)
            self._write(about_name(about), about, [scores], {})

    def at_hand(self, tile: Tile, views: Sequence[ViewCard]) -> bool:
        """Whether a tile can be scored without running the encoder, as far as can be told without reading."""
        if self._has(about_name(about_scores(self._model, tile, views, self._running))):
            return True
        names = [about_name(about_features(self._encoder, tile, view, self._running)) for view in views]
        device = str(self._device)
        return all(MEMORY.get((self._owner, name, device)) is not None or self._has(name) for name in names)

    def _changed(self) -> bool:
        """Whether somebody has trained the model since; what it makes now belongs to another one."""
        segmenter = self._segmenter()
        return segmenter is not None and self._keys is not None and network_keys(segmenter) != self._keys

    def _has(self, name: str) -> bool:
        return self._folder is not None and self._folder.has(self._image, name)

    def _read_features(self, name: str, about: About, tile: Tile, view: ViewCard) -> Features | None:
        unit = self._read(name, about)
        if unit is None:
            return None
        arrays, details = unit
        try:
            maps = [
                _as_tensor(array, layout).to(self._device)
                for array, layout in zip(arrays, details["layouts"], strict=True)
            ]
            features = Features(maps, **details["features"])
            return features if self._can_be(features, tile, view) else None
        except (LookupError, TypeError, ValueError, RuntimeError):  # written by a program that knew better
            return None

    def _can_be(self, features: Features, tile: Tile, view: ViewCard) -> bool:
        """Whether features have the size and the channels of a view's, and are numbers."""
        size = tuple(max(2, round(n * view.zoom)) for n in (tile.height, tile.width))
        segmenter: Any = self._segmenter()
        channels = [] if segmenter is None else segmenter.backbone.channels
        found = [one.shape[1] for one in features.maps if one.shape[1]]
        return (
            (features.height, features.width) == size
            and found[len(found) - len(channels) :] == channels
            and all(one.dim() == 4 and len(one) == 1 for one in features.maps)
            and all(bool(torch.isfinite(one).all()) for one in features.maps)
        )

    def _write_features(self, name: str, about: About, features: Features) -> None:
        taken = [_as_array(one) for one in features.maps]
        others = {f.name: getattr(features, f.name) for f in fields(features) if f.name != "maps"}
        details = {"features": others, "layouts": [layout for _, layout in taken]}
        self._write(name, about, [array for array, _ in taken], details)

    def _read(self, name: str, about: About) -> tuple[Sequence[NDArray[Any]], Any] | None:
        assert self._folder is not None
        try:
            unit = self._folder.read(self._image, name, about)
        except EmbeddingError as error:
            self._tell(error)
            return None
        return None if unit is None else (unit.arrays, unit.details)

    def _write(self, name: str, about: About, arrays: Sequence[NDArray[Any]], details: Any) -> None:
        assert self._folder is not None
        try:
            self._folder.write(self._image, name, about, arrays, details)
        except EmbeddingError as error:
            self._writes = False  # nor would the next tile fit
            self._tell(error)

    def _tell(self, error: EmbeddingError) -> None:
        """Tell of a damaged file each time, and of a folder that does not work once a process."""
        assert self._folder is not None
        told = (str(self._folder.path), error.cause)
        if error.cause == "damaged" or told not in _told:
            _told.add(told)
            self.notices.append(str(error))


_told: set[tuple[str, str]] = set()


def _as_array(tensor: Tensor) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return a tensor's numbers in the order in which they lie in memory, and what `_as_tensor` needs besides.

    The order decides which kernels the decoder runs, and with them the last bits of its scores.
    """
    tensor = tensor.detach()
    order = sorted(range(tensor.dim()), key=lambda axis: (-tensor.stride()[axis], axis))
    if not tensor.permute(order).is_contiguous():
        tensor, order = tensor.contiguous(), list(range(tensor.dim()))
    layout = {"shape": list(tensor.shape), "strides": list(tensor.stride()), "type": str(tensor.dtype)}
    numbers = tensor.permute(order).cpu()
    if numbers.dtype == torch.bfloat16:  # unknown to numpy
        numbers = numbers.view(torch.int16)
    return numbers.numpy(), layout


def _as_tensor(array: NDArray[Any], layout: dict[str, Any]) -> Tensor:
    numbers = torch.from_numpy(np.ascontiguousarray(array)).reshape(-1)
    if layout["type"] == str(torch.bfloat16):
        numbers = numbers.view(torch.bfloat16)
    if str(numbers.dtype) != layout["type"] or numbers.numel() != int(np.prod(layout["shape"])):
        raise ValueError("the numbers do not fit their layout")
    return numbers.as_strided(layout["shape"], layout["strides"])
