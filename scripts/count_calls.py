"""Counts how far one change travels through the source: files, calls, and steps from one file to another.

Run it under a screen: ``scripts/headless.sh .venv/bin/python scripts/count_calls.py [--json FILE]``. It takes a
number typed in the Segment dock, a stroke of the brush, and ``phaseguide segment`` on three files. A profile hook
counts calls of functions of ``phaseguide``, in the window's thread and in those that Python starts. The dock is found
by its title, its controls by the words on them, and a group of calls by the name of its functions: folders may move.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # the counts must not depend on anybody's settings
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PHASEGUIDE_EMBEDDINGS", None)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import segmentation_models_pytorch  # noqa: F401 - before a viewer loads Mesa's LLVM, see tests/widgets/conftest

import phaseguide

SOURCE = str(Path(phaseguide.__file__).parent) + os.sep
QUIET_S, LONGEST_S = 2.0, 120.0
"""An action has ended when nothing of the source was called for so long."""

CLOCKS: set[str] = set()
"""Functions that a clock of the window calls while nobody does anything; they are in no count."""

GROUPS = {
    "rebuild a PhaseScheme": "PhaseScheme.from_dict",
    "ask whether tensors changed": "_state",
}
"""Calls of a function and of what it calls in its own file."""


@dataclass
class Travel:
    """What one action called: functions as ``folder/file.py:function``, and steps as pairs of files."""

    calls: Counter[str] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    last: float = field(default_factory=time.monotonic)

    def count(self, frame: FrameType) -> None:
        """Note one call."""
        here = _file(frame)
        function = f"{here}:{frame.f_code.co_qualname}"
        if function in CLOCKS:
            return
        self.last = time.monotonic()
        self.calls[function] += 1
        for name, outermost in GROUPS.items():
            if _is_below(frame, outermost):
                self.groups[name] += 1
        caller = frame.f_back
        while caller is not None and not _is_ours(caller):
            caller = caller.f_back  # through Qt, torch or napari
        if caller is not None and _file(caller) != here:
            self.steps[_file(caller), here] += 1

    def told(self) -> dict[str, Any]:
        """Return the numbers."""
        files = Counter[str]()
        for name, count in self.calls.items():
            files[name.split(":")[0]] += count
        return {
            "files": len(files),
            "files of widgets": sum(name.startswith("widgets/") for name in files),
            "calls": sum(self.calls.values()),
            "steps": sum(self.steps.values()),
            **{name: self.groups[name] for name in GROUPS},
            "most called": dict(self.calls.most_common(10)),
            "by file": dict(files.most_common()),
        }


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(SOURCE)


def _file(frame: FrameType) -> str:
    return Path(frame.f_code.co_filename[len(SOURCE) :]).as_posix()


def _is_below(frame: FrameType | None, function: str) -> bool:
    file = frame.f_code.co_filename if frame is not None else ""
    while frame is not None and frame.f_code.co_filename in (file, "<string>"):  # dataclasses make their own
        if frame.f_code.co_qualname == function:
            return True
        frame = frame.f_back
    return False


current: Travel | None = None
"""Where calls are counted just now."""


def _hook(frame: FrameType, event: str, _: Any) -> None:
    if event == "call" and current is not None and _is_ours(frame):
        current.count(frame)


def count(travel: Travel, action: Callable[[], None]) -> dict[str, Any]:
    """Do something, note in ``travel`` what it calls, and return the numbers."""
    global current
    current = travel
    sys.setprofile(_hook)
    try:
        action()
    finally:
        sys.setprofile(None)
        current = None
    return travel.told()


class Dock:
    """A viewer with a sample that is segmented already, and the Segment dock beside it."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtWidgets import QDoubleSpinBox, QPushButton

        self.viewer = napari.Viewer(show_welcome_screen=False)
        _, workbench = self.viewer.window.add_plugin_dock_widget("napari-phaseguide", "Phase Guide")
        workbench.show_step("segment")
        self.widget = workbench.segment
        self.viewer.open_sample("napari-phaseguide", "uhcs0220")
        self.image = self.viewer.layers[0].name
        (press,) = (b for b in self.widget.findChildren(QPushButton) if b.text() == "Segment")
        self.until(press.isEnabled)
        press.click()
        self.until(lambda: f"{self.image} phases" in self.viewer.layers and press.isEnabled())
        self.wait(2 * QUIET_S)
        idle = Travel()
        count(idle, lambda: self.wait(2 * QUIET_S))
        CLOCKS.update(idle.calls)
        boxes = self.widget.findChildren(QDoubleSpinBox)
        self.box = next(box for box in boxes if box.accessibleName().startswith("Expected area %"))

    def change_number(self) -> None:
        """Change the first expected value once, by a key; each digit that is typed is one such change."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClick(self.box, Qt.Key.Key_Up)

    def paint(self, row: float) -> None:
        """Draw a short line on the edits with the brush, through napari's own handling of the mouse."""
        from widget_helpers import stroke

        stroke(self.viewer.layers[f"{self.image} edits"], [(row, 40.0), (row, 60.0), (row, 80.0)])

    def count(self, action: Callable[[], None]) -> dict[str, Any]:
        """Count an action and what follows from it, until the source rests."""
        travel = Travel()

        def act() -> None:
            action()
            self.until(lambda: time.monotonic() - travel.last > QUIET_S)

        return count(travel, act)

    def until(self, done: Callable[[], bool]) -> None:
        """Let the window work until something holds."""
        end = time.monotonic() + LONGEST_S
        while not done():
            if time.monotonic() > end:
                raise SystemExit(f"The window was not done within {LONGEST_S:.0f} s.")
            self.wait(0.02)

    def wait(self, seconds: float) -> None:
        """Let the window work for a while."""
        from qtpy.QtTest import QTest

        QTest.qWait(round(seconds * 1e3))


def count_dock() -> dict[str, dict[str, Any]]:
    """Count a typed number and a stroke; each was done once before, so that nothing is counted that is done once."""
    dock = Dock()
    dock.box.setValue(40)
    dock.wait(2 * QUIET_S)
    typed = dock.count(dock.change_number)
    dock.paint(30.0)
    dock.wait(2 * QUIET_S)
    stroke = dock.count(lambda: dock.paint(60.0))
    dock.viewer.close()
    return {"one typed number": typed, "one stroke": stroke}


def count_command(folder: Path) -> dict[str, dict[str, Any]]:
    """Count ``phaseguide segment`` on three small files."""
    from PIL import Image
    from typer.testing import CliRunner

    from phaseguide.cli import app
    from phaseguide.datasets.samples import open_sample

    image = open_sample("uhcs0220").image
    files = [folder / f"field{n}.png" for n in range(3)]
    for n, file in enumerate(files):
        Image.fromarray(image[80 * n : 80 * n + 192, :256]).save(file)

    def run(names: list[Path], out: str) -> None:
        options = ["-m", "uhcs", "--ratio", "spheroidite=60%", "--device", "cpu", "--out", str(folder / out)]
        done = CliRunner().invoke(app, ["segment", *map(str, names), *options])
        if done.exit_code:
            raise SystemExit(done.output)

    Image.fromarray(image[300:, :256]).save(folder / "first.png")
    run([folder / "first.png"], "first")  # imports are none of the command's work
    return {"phaseguide segment, three files": count(Travel(), lambda: run(files, "out"))}


def show(told: dict[str, dict[str, Any]]) -> None:
    """Print a table, and below it the functions that are called most."""
    plain = [key for key in next(iter(told.values())) if key not in ("most called", "by file")]
    width = max(map(len, plain))
    print(" " * width, *(f"{name:>32}" for name in told))
    for key in plain:
        print(f"{key:{width}}", *(f"{numbers[key]:>32,}" for numbers in told.values()))
    for name, numbers in told.items():
        print(f"\nMost called by {name}:")
        for function, count in numbers["most called"].items():
            print(f"{count:>8,}  {function}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    target = parser.parse_args().json
    threading.setprofile(_hook)  # before a thread is started: each takes its hook along
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PHASEGUIDE_DATA_DIR"] = folder
        told = {**count_dock(), **count_command(Path(folder))}
    show(told)
    if target is not None:
        target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
