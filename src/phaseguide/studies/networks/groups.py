"""Groups of images of a data set, such as their magnification, and scores by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phaseguide.errors import DatasetError
from phaseguide.files.text_files import parse_table, read_text
from phaseguide.studies.networks.judging import ASKS
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.summary import METRICS, by_image, networks_by_condition
from phaseguide.studies.networks.tables import METRIC_TITLES, RATIOS, cell_of, with_spread
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import plain_table
from phaseguide.studies.statistics import spread

FILE = "groups.csv"
FORMAT = "a table with the columns image and group, a line for each image, as in uhcs0220,4910x"


def read_groups(data: StudyData) -> dict[str, str] | None:
    """Read ``groups.csv`` of a data set: the group of each image by stem; None where there is no such file.

    `DatasetError` for a file that is no such table, an image that there is not, or one without a group.
    """
    path = data.dataset.folder / FILE
    if not path.is_file():
        return None
    try:
        rows = [row.cells for row in parse_table(read_text(path))]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}). Write {FORMAT}.") from error
    heading = [cell.strip().lower() for cell in rows[0]] if rows else []
    if not {"image", "group"} <= set(heading):
        raise DatasetError(f"{path}: has no columns image and group. Write {FORMAT}.")
    image, group = heading.index("image"), heading.index("group")
    found: dict[str, str] = {}
    known = {item.stem for item in data.dataset.items} | {item.image_path.name for item in data.dataset.items}
    for cells in rows[1:]:
        if len(cells) <= max(image, group) or not cells[group].strip():
            raise DatasetError(f"{path}: the line {', '.join(cells)} has no group. Write {FORMAT}.")
        name = cells[image].strip()
        if name not in known:
            raise DatasetError(
                f"{path}: there is no image {name} in {data.dataset.folder}. Correct its name."
            )
        stem = next(i.stem for i in data.dataset.items if name in (i.stem, i.image_path.name))
        found[stem] = cells[group].strip()
    tested = {stem for split in data.splits.values() for stem in split.test}
    if missing := sorted(tested - set(found)):
        raise DatasetError(f"{path}: names no group of image {missing[0]}. Add a line for it.")
    return found


def need_groups(data: StudyData) -> dict[str, str]:
    """Return the groups of a data set; `DatasetError` where it has none."""
    found = read_groups(data)
    if found is None:
        raise DatasetError(
            f"{data.dataset.folder}: has no {FILE}, which says what group each image is of. Write {FORMAT}."
        )
    return found


def group_rows(
    results: Sequence[Judged], conditions: Mapping[str, Condition], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return scores by condition, ratio and group: mean over images (themselves means over seeds), with spread."""
    by_condition = networks_by_condition(results)
    rows = []
    for name, condition in conditions.items():
        cells = by_condition.get(name, {})
        for ask in ASKS:
            if not cells or not all(str(ask) in judged["scores"] for judged in cells.values()):
                continue
            scores = {metric: by_image(cells, ask, metric) for metric in METRICS}
            for group in sorted(set(groups.values()), key=_order):
                stems = [stem for stem in scores["accuracy"] if groups.get(stem) == group]
                if stems:
                    rows.append(
                        {
                            "condition": name,
                            "what": condition.what,
                            "ratio": ask.source,
                            "mode": ask.mode,
                            "group": group,
                            "images": len(stems),
                            "scores": {
                                m: spread({s: v[s] for s in stems if s in v}) for m, v in scores.items()
                            },
                        }
                    )
    return rows


def group_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of scores by group: image by image, mean ± standard deviation over images."""
    return plain_table(
        ["condition", "group", "ratio", "acts", *METRIC_TITLES.values(), "images"],
        (
            [
                cell_of(row),
                row["group"],
                RATIOS[row["ratio"]],
                row["mode"],
                *(with_spread(row["scores"][m], 1 if m.endswith("_pp") else 100) for m in METRIC_TITLES),
                row["images"],
            ]
            for row in rows
        ),
    )


def _order(group: str) -> tuple[float, str]:
    """Numbers by size, as of magnifications; words after them."""
    digits = "".join(character for character in group if character.isdigit() or character == ".")
    try:
        return float(digits), group
    except ValueError:
        return float(np.inf), group
