"""A point count is evaluated in one way, whether it was answered in a table, saved, or is under way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phaseguide.estimation.point_count import UNNAMED
from phaseguide.estimation.point_files import count_bytes, points_bytes, save_count
from phaseguide.estimation.point_plan import propose_points
from phaseguide.jobs.point_count import Count, RunningCount, read_count
from phaseguide.jobs.tables import area_rows, clipboard_text, result_table
from phaseguide.phases import PhaseScheme


def test_table_saved_count_and_running_count_say_the_same(tmp_path: Path) -> None:
    scheme = PhaseScheme.from_names(("a", "b"))
    labels = np.ones((30, 40), dtype=np.uint8)
    labels[:, 10:] = 2
    plan = propose_points(labels, scheme, 40, seed=0)
    answers = plan.strata.astype(np.int64)
    answers[:3] = 0  # unclear
    table, beside, saved = tmp_path / "p.csv", tmp_path / "p.json", tmp_path / "saved.json"
    lines = points_bytes(plan).decode().splitlines()
    names = ["", *("unclear" if one == 0 else scheme.phases[one - 1].name for one in answers)]
    table.write_text(
        "\n".join(line + name for line, name in zip(lines, names, strict=True)), encoding="utf-8"
    )
    beside.write_bytes(count_bytes(plan, np.full(len(plan), UNNAMED)))
    save_count(saved, plan, answers)

    counts: list[Count] = [read_count(table), read_count(table, saved), read_count(saved)]
    counts.append(RunningCount(plan, answers, saved))
    rows = [area_rows(count.plan.scheme, count.evaluate()) for count in counts]
    assert rows[0] == rows[1] == rows[2] == rows[3]
    shown = result_table(scheme, counts[0].evaluate())[1]
    copied = clipboard_text(scheme, counts[0].evaluate()).splitlines()[1:]
    for row, cells, line in zip(rows[0], shown, copied, strict=False):
        assert line.split("\t")[:3] == [row["phase"], cells[0], f"{row['area'] * 100:.2f}"]
        assert cells[3] == str(row["points"]) and len(cells) == 5
