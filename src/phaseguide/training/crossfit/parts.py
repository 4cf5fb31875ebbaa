"""The folder that keeps the parts of a cross-fit, so that a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from phaseguide.errors import TrainingError
from phaseguide.files import atomic
from phaseguide.files.json_files import json_bytes, read_json
from phaseguide.training.crossfit.folds import model_path

_MARK = "crossfit.json"
_MARKED = {"phaseguide": "parts of a cross-fit", "format": 1}
_OURS = re.compile(
    r"fold_[^/]+\.safetensors|scores_[^/]+\.safetensors|refinement\.safetensors|\.phaseguide-.*", re.DOTALL
)
_ASIDE = re.compile(r".*-unused(-\d+)?\.safetensors", re.DOTALL)


@dataclass(frozen=True)
class Parts:
    """Names of the parts; the folder bears a mark, and nothing is written into one that does not."""

    folder: Path

    def begin(self) -> None:
        """Make the folder, or take up one that is there; `TrainingError` if it holds something else."""
        if self.folder.exists() and not self.folder.is_dir():
            raise TrainingError(
                f"{self.folder}: is a file, but the parts of a cross-fit need a folder of that name. Move it away, or "
                "choose another --checkpoint."
            )
        if self.folder.is_dir() and not self._is_marked():
            foreign = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith(".phaseguide-"))
            if foreign:
                raise TrainingError(
                    f"{self.folder}: holds something else than the parts of a cross-fit ({', '.join(foreign[:3])}"
                    f"{' ...' if len(foreign) > 3 else ''}). It stays as it is; choose another --checkpoint."
                )
        atomic.write_bytes(self.folder / _MARK, json_bytes(_MARKED))
        atomic.sweep(self.folder)

    def model(self, fold: str) -> Path:
        """The model of a fold; its checkpoint lies beside it."""
        return model_path(self.folder, fold)

    def scores(self, stem: str) -> Path:
        """The out-of-fold scores of an image, whatever letters its name has."""
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:40]
        number = hashlib.sha256(stem.encode(errors="surrogateescape")).hexdigest()[:8]
        return self.folder / f"scores_{plain}_{number}.safetensors"

    @property
    def refinement(self) -> Path:
        """The guidance on scores that was learnt."""
        return self.folder / "refinement.safetensors"

    def check_room(self, needed: int) -> None:
        """Raise `TrainingError` where scores of so many bytes do not fit on the disk beside what is there already."""
        there = sum(path.stat().st_size for path in self.folder.glob("scores_*.safetensors"))
        free = shutil.disk_usage(self.folder).free
        if needed - there > free:
            raise TrainingError(
                f"{self.folder}: the scores of all images take {needed / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are "
                "free there. Free some space, or choose a --checkpoint on another disk."
            )

    def sweep(self) -> None:
        """Remove the parts once the model is saved; what was set aside stays, and then the marked folder with it."""
        if not self.folder.is_dir() or not self._is_marked():
            return
        with suppress(OSError):
            for path in list(self.folder.iterdir()):
                if _OURS.fullmatch(path.name) and not _ASIDE.fullmatch(path.name):
                    path.unlink()
            if [path.name for path in self.folder.iterdir()] == [_MARK]:
                (self.folder / _MARK).unlink()
                self.folder.rmdir()

    def _is_marked(self) -> bool:
        try:
            return bool(read_json(self.folder / _MARK) == _MARKED)
        except (OSError, ValueError):
            return False


def parts_of(checkpoint: Path) -> Parts:
    """The parts that belong to the checkpoint of a run: a folder of its name, with ``.parts`` behind it."""
    return Parts(checkpoint.with_name(f"{checkpoint.name}.parts"))
