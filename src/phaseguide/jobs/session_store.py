"""The sessions and models that the Segment widget keeps, so that a second wish is quick."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.segmentation.settings import Advanced

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.segmentation.session import Session


@dataclass(frozen=True)
class Options:
    """What a session is made with; see `phaseguide.segmentation.session.Session`.

    ``embeddings_gb`` is how much may be kept on disk of all images; None: nothing, unless the variable
    PHASEGUIDE_EMBEDDINGS names a folder.
    """

    device: str = "auto"
    tile: int | None = None
    flips: bool | None = None
    invert: bool = False
    memory_mb: int = Advanced.default("memory_mb")
    embeddings_gb: float | None = None
    runtime: str = Advanced.default("runtime")


class SessionStore:
    """Sessions and models that are kept, so that another ratio on the same image costs only the matching.

    Sessions are found again by the content of the plane, so an image that was changed in place is
    encoded anew. The least recently used ones go when their estimated memory exceeds the budget.

    Attributes
    ----------
    lock : threading.Lock
        To be held by any thread while it uses a session: those are made for one thread at a time.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sessions: OrderedDict[tuple[Any, ...], tuple[Session, int]] = OrderedDict()
        self._places: dict[tuple[Hashable, ...], tuple[Any, ...]] = {}
        self._models: dict[tuple[Any, ...], LoadedModel] = {}
        self._pace: dict[tuple[Any, ...], float] = {}

    def model(self, path: Path, device: str) -> LoadedModel:
        """Load a model, or return the one that was loaded from this very file before."""
        from phaseguide.errors import ModelError
        from phaseguide.models.zoo import open_model

        try:
            stat = path.stat()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror or error}). Choose another model."
            ) from error
        # A network lives on one device at a time, so another device gets its own copy.
        key = (str(path), stat.st_mtime_ns, stat.st_size, device)
        if key not in self._models:
            model = open_model(path)
            self._models.clear()
            self._models[key] = model
        return self._models[key]

    def session(
        self,
        model: LoadedModel,
        image: NDArray[Any],
        options: Options,
        name: str,
        pixel_size_um: float | None = None,
        edits: NDArray[np.uint8] | None = None,
    ) -> Session:
        """Return the session of a plane, made now or earlier, with these edits."""
        from phaseguide.segmentation.network.embedding_files import default_location, embedding_folder
        from phaseguide.segmentation.session import Session

        key = (id(model), options, *_fingerprint(image), pixel_size_um)
        if key in self._sessions:
            self._sessions.move_to_end(key)
            session = self._sessions[key][0]
            session.name = name
            session.set_edits(edits)
            return session
        kept, wish = options.embeddings_gb, default_location()
        session = Session(
            model,
            image,
            edits=edits,
            device=options.device,
            runtime=options.runtime,
            tile=options.tile,
            flips=options.flips,
            invert=options.invert,
            memory_mb=options.memory_mb,
            name=name,
            pixel_size_um=pixel_size_um,
            embeddings=None if kept is None else embedding_folder(wish, kept) or embedding_folder("on", kept),
        )
        pixels = image.shape[0] * image.shape[1]
        flips = sum(view.zoom**2 for view in session.views)
        # Scores, and features as a U-Net on a light encoder has them; a session keeps to its own budget.
        size = min(pixels * (8 * len(session.scheme) + 50 * flips), options.memory_mb * 1_000_000)
        self._sessions[key] = (session, size)
        while (
            len(self._sessions) > 1 and sum(s for _, s in self._sessions.values()) > options.memory_mb * 1e6
        ):
            self._sessions.popitem(last=False)
        return session

    def place(self, place: tuple[Hashable, ...], session: Session) -> None:
        """Remember which session belongs to a plane of an image layer."""
        for key, (known, _) in self._sessions.items():
            if known is session:
                self._places[place] = key

    def at(self, place: tuple[Hashable, ...], path: Path, options: Options) -> Session | None:
        """Return the session of a plane, if it is kept and was made with this model and these options."""
        key = self._places.get(place)
        session, _ = self._sessions.get(key, (None, 0)) if key is not None else (None, 0)
        fits = session is not None and key is not None and key[1] == options and session.model.path == path
        return session if fits else None

    def made_for(self, session: Session, image: NDArray[Any]) -> bool:
        """Whether a session was made for these very pixels."""
        fingerprint = _fingerprint(image)
        return any(
            known is session and key[2:-1] == fingerprint for key, (known, _) in self._sessions.items()
        )

    def keep_only(self, images: Collection[Hashable]) -> None:
        """Drop the sessions of image layers that are gone; later if a thread uses one just now.

        Parameters
        ----------
        images : collection
            The first item of the places of what may stay.
        """
        if not self.lock.acquire(blocking=False):
            return
        try:
            gone = [place for place in self._places if place[0] not in images]
            keys = {self._places.pop(place) for place in gone}
            for key in keys - set(self._places.values()):
                self._sessions.pop(key, None)
        finally:
            self.lock.release()

    def forget(self) -> None:
        """Drop all sessions and models, after a failure or a change of device under them."""
        self._sessions.clear()
        self._places.clear()
        self._models.clear()

    def pace(self, session: Session, options: Options) -> float | None:
        """Seconds per pixel of the last unguided pass of this kind; None if there was none."""
        return self._pace.get((session.model.path, session.device.kind, options))

    def remember_pace(self, session: Session, options: Options, seconds: float) -> None:
        """Note how long an image took."""
        height, width = session.pixels.shape[:2]
        self._pace[session.model.path, session.device.kind, options] = seconds / (height * width)


def _fingerprint(image: NDArray[Any]) -> tuple[tuple[int, ...], str, bytes]:
    import hashlib

    flat = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    return image.shape, image.dtype.str, hashlib.blake2b(flat.data, digest_size=16).digest()
