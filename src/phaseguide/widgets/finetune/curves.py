"""Live curves of a run: loss, validation Dice, composition error, and the scalars of the guidance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from phaseguide.widgets.qt.plain_text import on_plot

if TYPE_CHECKING:
    from phaseguide.training.events import EpochDone

REDRAW_MS = 400
"""Two to three redraws a second at most: each one costs the window some 70 ms."""

LOSS, DICE, COMPOSITION, GAUGES = "Loss", "Dice, tested (%)", "Composition error (pp)", "γ and δ"
GREEK = {"gamma": "γ", "delta": "δ"}
LINES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")


class Curves(QWidget):
    """Four small plots over the epochs, the Dice with its 95 % range.

    Points may come as quickly as they like; drawing keeps its pace.
    """

    def __init__(self) -> None:
        super().__init__()
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(3.6, 3.0), layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)  # type: ignore[no-untyped-call]  # Matplotlib types none of it
        # Its size hint would take half of the window.
        self.canvas.setMinimumSize(300, 250)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.canvas)
        self.axes: dict[str, Any] = dict(
            zip((LOSS, DICE, COMPOSITION, GAUGES), self.figure.subplots(2, 2).ravel(), strict=True)
        )
        self.points: dict[str, dict[str, list[tuple[int, float]]]] = {}
        self.redraws = 0
        self._epochs = 1
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.draw)
        self.begin()

    def begin(self, before: float | None = None) -> None:
        """Empty the plots.

        Parameters
        ----------
        before : float, optional
            Dice of the model before it learnt, in [0, 1]; drawn as the first point.
        """
        self.points = {title: defaultdict(list) for title in self.axes}
        self.ranges: list[tuple[int, float, float]] = []
        self._judged = 0
        if before is not None:
            self.points[DICE][""].append((0, before * 100))
        self._later()

    def add(self, done: EpochDone) -> None:
        """Add the numbers of an epoch."""
        self._epochs = done.epochs
        self.points[LOSS][""].append((done.epoch, done.loss))
        if done.dice_mean is not None:
            self.points[DICE][""].append((done.epoch, done.dice_mean * 100))
        if done.dice_range is not None:
            low, high = done.dice_range
            self.ranges.append((done.epoch, low * 100, high * 100))
            self._judged = done.judged
        if done.fraction_mae is not None:
            self.points[COMPOSITION][""].append((done.epoch, done.fraction_mae * 100))
        for name, value in _short(done.gauges):
            self.points[GAUGES][name].append((done.epoch, value))
        self._later()

    def show_history(self, history: Sequence[EpochDone], before: float | None = None) -> None:
        """Draw all epochs, also those before a run was taken up again; see `begin`."""
        self.begin(before)
        for done in history:
            self.add(done)

    def colour(self, ink: str, paper: str) -> None:
        """Take the colours of napari's theme."""
        self.figure.set_facecolor(paper)
        for axes in self.axes.values():
            axes.set_facecolor(paper)
        self._ink = ink
        self._later()

    def draw(self) -> None:
        """Draw now."""
        ink = getattr(self, "_ink", "#808080")
        for title, axes in self.axes.items():
            paper = axes.get_facecolor()
            axes.clear()
            axes.set_facecolor(paper)
            judged = f", {self._judged:,} px" if title == DICE and self._judged else ""
            axes.set_title(f"{title}{judged}", fontsize=8, color=ink)
            axes.tick_params(labelsize=7, colors=ink, length=2)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
            for spine in axes.spines.values():
                spine.set_color(ink)
                spine.set_linewidth(0.5)
            axes.set_xlim(0, max(self._epochs, 1))
            for (name, points), colour in zip(self.points[title].items(), LINES, strict=False):
                if not points:
                    continue
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, linewidth=1.3, marker="o", markersize=2.5, label=on_plot(name))
            if title == DICE and self.ranges:
                epochs, low, high = zip(*self.ranges, strict=True)
                axes.fill_between(epochs, low, high, color=LINES[0], alpha=0.25, linewidth=0)
            if not any(self.points[title].values()):
                axes.set_yticks([])
                axes.text(
                    0.5, 0.5, self._absence(title), transform=axes.transAxes, ha="center", va="center",
                    fontsize=7, color=ink, wrap=True,
                )  # fmt: skip
            elif title == GAUGES:
                legend = axes.legend(fontsize=6, frameon=False, labelcolor=ink, loc="best")
                for text in legend.get_texts():
                    text.set_parse_math(False)
        for title in (COMPOSITION, GAUGES):
            self.axes[title].set_xlabel("epoch", fontsize=7, color=ink)
        self.redraws += 1
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]  # Matplotlib types none of it

    def _absence(self, title: str) -> str:
        if not self.points[LOSS]:
            return "comes with the first epoch"
        return "none in this model" if title == GAUGES else "nothing judges"

    def _later(self) -> None:
        if not self._timer.isActive():
            self._timer.start()


def _short(gauges: dict[str, float]) -> list[tuple[str, float]]:
    """Names as people write them: the module's path goes unless two scales would share a name."""
    scales = sorted({name.rpartition(".")[0] for name in gauges})
    found = []
    for name, value in gauges.items():
        scale, _, last = name.rpartition(".")
        tail = f" {scales.index(scale) + 1}" if len(scales) > 1 else ""
        found.append((f"{GREEK.get(last, last)}{tail}", value))
    return found
