"""What a data set holds, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.output import make_table, page, percent, write_json

if TYPE_CHECKING:
    from phaseguide.datasets.survey import Report
    from phaseguide.jobs.data.writing import Converted

MOST_NOTICES = 10


def show_report(report: Report, json_target: str | None) -> None:
    """Print what a folder holds, and what there is to tell of it."""
    console, about = page(json_target), report.listing.about
    console.print(f"{report.listing.folder}: {about.title} ({about.name})", style="bold", soft_wrap=True)
    lines = [
        ("licence", about.licence),
        ("source", about.source),
        ("images", f"{report.images}: {_counted(report.sizes, 'px')}; {_counted(report.values)}"),
        (
            "scale",
            f"known for {report.with_pixel_size} of {report.images} images"
            if report.with_pixel_size
            else "unknown",
        ),
        ("bars", _counted(report.bars, "rows") or "none"),
        (report.listing.grouping, ", ".join(f"{name} {count}" for name, count in report.groups.items())),
    ]
    for word, text in lines:
        if text:
            console.print(f"  {word + ':':9}{text}", soft_wrap=True)
    table = make_table("", ("phase", "label", "area %", "images"))
    for row in report.phases:
        table.add_row(row.name, str(row.label), percent(row.share), str(row.images))
    if report.excluded or report.not_classified:
        table.add_section()
        table.add_row("excluded, of all pixels", "255", percent(report.excluded), "")
        table.add_row("not classified, of all pixels", "0", percent(report.not_classified), "")
    console.print(table)
    for notice in report.notices[:MOST_NOTICES]:
        say_notice(notice)
    if (more := len(report.notices) - MOST_NOTICES) > 0:
        say_notice(f"... and {more} more such sentences; --json has them all.")


def show_written(done: Converted, json_target: str | None) -> None:
    """Print what was written, and tell it as JSON."""
    show_report(done.report, json_target)
    resumed = f" ({done.resumed} of them by an earlier run)" if done.resumed else ""
    page(json_target).print(f"{done.out}: {done.report.images} images written{resumed}.", soft_wrap=True)
    write_json(json_target, {**done.report.to_dict(), "out": str(done.out), "resumed": done.resumed})


def _counted(counts: dict[Any, int], unit: str = "") -> str:
    return ", ".join(f"{count} of {what} {unit}".strip() for what, count in counts.items())
