"""What a named study is: a question, a run that can be stopped and goes on, tables and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from phaseguide.settings import Settings
from phaseguide.studies.networks.splits import Split, StudyData
from phaseguide.training.config import TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Size = Literal["small", "full"]
SIZES: tuple[Size, ...] = ("small", "full")

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What a study is run on, and how much of it.

    Attributes
    ----------
    data : sequence of StudyData
        One data set, or several for a study that takes them.
    out : Path
        Folder of networks, judgements and the report; what is there already, of the same settings, is not done again.
    size : {"small", "full"}
        Small is what two cores train in minutes a network; full is as published.
    only : sequence of str or None
        Names of the splits that are tested; None is all.
    conditions : sequence of str or None
        Names of what is compared; None is all of the study's.
    seeds : sequence of int
        Seeds of the trainings.
    settings : mapping
        Settings of every training, over those of the study.
    train : bool
        Whether what is missing is made; otherwise the report is of what is there.
    """

    data: Sequence[StudyData]
    out: Path
    size: Size = "small"
    only: Sequence[str] | None = None
    conditions: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    train: bool = True

    @property
    def told(self) -> dict[str, Any]:
        """What the numbers of every study hold of it."""
        return {"size": self.size, "seeds": list(self.seeds), "set": dict(self.settings)}

    def splits(self, data: StudyData) -> dict[str, Split]:
        """Return the splits of a data set that are tested."""
        return {n: s for n, s in data.splits.items() if self.only is None or n in self.only}


@dataclass(frozen=True)
class Study:
    """A study by name.

    Attributes
    ----------
    name : str
    question : str
        One or two sentences; the heading of its help and of its report.
    conditions : sequence of str
        Names of what is compared, in the order of the tables.
    run : callable
        From what is given to events; the last is Finished with numbers that JSON can hold. Each network and judgement
        is kept in ``given.out`` and never done twice.
    lines : callable
        From the numbers to the lines of Markdown tables. What was not run says so in its row.
    figure : callable
        From the numbers to a figure; None where there is nothing to draw yet.
    config : type of Settings
        Form of the settings that ``--set`` takes.
    """

    name: str
    question: str
    conditions: Sequence[str]
    run: Callable[[Given], Iterator[Any]]
    lines: Callable[[Numbers], list[str]]
    figure: Callable[[Numbers], Figure | None]
    config: type[Settings] = TrainingConfig
