"""Draw what is imposed, and what ratios were worth: ``python docs/make/guidance_figure.py [--out DIR]``.

It writes ``belief.png`` and reads ``docs/benchmarks/guidance_belief.json``, the results on the folds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from phaseguide.ratios import SOURCES, blend_ratios

DOCS = Path(__file__).parents[1]
OWN, OWN_ERROR = 0.10, 0.32


def draw_belief(axes: Any) -> None:
    """Imposed share of one phase against the asked one, for each source."""
    asked = np.linspace(0.005, 0.5, 200)
    for source in SOURCES:
        imposed = [blend_ratios([a, np.nan], [OWN, 1 - OWN], source.uncertainty, OWN_ERROR)[0] for a in asked]
        axes.plot(100 * asked, 100 * np.array(imposed), label=f"{source.key} ({source.uncertainty:g})")
    axes.plot(100 * asked, 100 * asked, "k:", lw=1, label="force (0)")
    axes.axhline(100 * OWN, color="0.6", lw=1)
    axes.text(49, 100 * OWN + 0.6, "the model sees 10 %", ha="right", color="0.4", fontsize=8)
    axes.set(
        xlabel="asked area %", ylabel="imposed area %", ylim=(0, 40), title="How far a value is believed"
    )
    axes.legend(title="source (uncertainty)", fontsize=8, title_fontsize=8)


def draw_worth(axes: Any, report: dict[str, Any]) -> None:
    """Change of Dice against the error of the ratio, for values stated as visual."""
    base = report["rows"][0]["dice_mean"]
    for kind, marker in (("expert", "o"), ("guess", "s")):
        rows = [r for r in report["rows"] if r["source"].startswith(kind) and r["uncertainty"] == 0.3]
        rows.sort(key=lambda r: r["asked_variation"])
        x = [100 * r["asked_variation"] for r in rows]
        axes.plot(
            x, [100 * (r["dice_mean"] - base) for r in rows], marker=marker, label=f"{kind}, stated as visual"
        )
        if kind == "expert":
            low = [100 * (r["dice_p10"] - base) for r in rows]
            axes.plot(x, low, "--", color=axes.lines[-1].get_color(), label="its worst tenth of draws")
    for source, style in (("own", ":"), ("oracle", "-.")):
        row = next(r for r in report["rows"] if r["source"] == source)
        label = {"own": "the model's own ratio", "oracle": "true ratio, exact"}[source]
        axes.axhline(100 * (row["dice_mean"] - base), ls=style, color="0.5", label=label)
    axes.axhline(0, color="k", lw=0.8)
    axes.set(
        xlabel="error of the ratio (total variation, % of the area)", ylabel="change of mean Dice, points"
    )
    axes.set_title("What it is worth on unseen images")
    axes.legend(fontsize=8)


def draw_stated(axes: Any, report: dict[str, Any]) -> None:
    """Change of Dice against the stated uncertainty, for an expert who is 10 % off."""
    base = report["rows"][0]["dice_mean"]
    rows = sorted(
        (r for r in report["rows"] if r["source"] == "expert:0.1" and r["scores"] == "calibrated"),
        key=lambda r: float(r["uncertainty"]),
    )
    x = [max(r["uncertainty"], 0.01) for r in rows]
    axes.plot(x, [100 * (r["dice_mean"] - base) for r in rows], marker="o", label="mean of 20 draws")
    axes.plot(x, [100 * (r["dice_p10"] - base) for r in rows], "--", label="worst tenth")
    axes.set(xscale="log", xlabel="stated uncertainty (0.01: exact)", ylabel="change of mean Dice, points")
    axes.set_title("An expert who is 10 % off")
    axes.axhline(0, color="k", lw=0.8)
    axes.legend(fontsize=8)


def main() -> None:
    """Draw the three panels side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report = json.loads((DOCS / "benchmarks" / "guidance_belief.json").read_text(encoding="utf-8"))
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.2), constrained_layout=True)
    draw_belief(axes[0])
    draw_worth(axes[1], report)
    draw_stated(axes[2], report)
    figure.savefig(options.out / "belief.png", dpi=110)


if __name__ == "__main__":
    main()
