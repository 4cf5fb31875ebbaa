"""ONNX graphs of networks on disk, so that a program that starts need not make them again; within a size limit."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from phaseguide.files.atomic import sweep, write_bytes
from phaseguide.folders import user_cache_folder

LIMIT = 500_000_000
"""Bytes of all graphs; those used least recently go first, and the newest stays."""

_SUFFIX = ".graph"
_CHECKSUM_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class GraphFolder:
    """A folder of graphs, each with its checksum before it, made when the first is written."""

    path: Path

    def read(self, key: str) -> bytes | None:
        """Return a graph; None if it is not there, or is not what was written: then it is removed."""
        path = self._file(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        checksum, graph = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        with suppress(OSError):
            if hashlib.sha256(graph).digest() == checksum:
                os.utime(path)
                return graph
            path.unlink()
        return None

    def write(self, key: str, graph: bytes) -> None:
        """Keep a graph; `PhaseguideError` where it cannot be written."""
        write_bytes(self._file(key), hashlib.sha256(graph).digest() + graph)
        sweep(self.path)
        self._make_room(self._file(key))

    def _file(self, key: str) -> Path:
        return self.path / f"{key}{_SUFFIX}"

    def _make_room(self, newest: Path) -> None:
        with suppress(OSError):  # another process may be making room
            kept = sorted(self.path.glob(f"*{_SUFFIX}"), key=lambda path: -path.stat().st_mtime)
            total = newest.stat().st_size
            for path in kept:
                if path != newest:
                    total += path.stat().st_size
                    if total > LIMIT:
                        path.unlink()


def usual_graph_folder() -> GraphFolder:
    """Return the folder among what the user's programs keep to be quick."""
    return GraphFolder(user_cache_folder() / "graphs")
