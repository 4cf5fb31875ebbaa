"""Synthetic data sets: the folder that training reads, the same bytes of the same seed, resumed where stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.datasets.conversion import part_of
from phaseguide.datasets.folder import open_dataset
from phaseguide.datasets.synthetic.settings import SyntheticSettings
from phaseguide.errors import DatasetError
from phaseguide.events import Progress, run_to_end
from phaseguide.jobs.data.synthetic import draw_data

SMALL: dict[str, Any] = {"height": 96, "width": 200, "length_px": 16.0, "count": 3}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_opens_with_exact_shares_bar_and_scale(tmp_path: Path) -> None:
    settings = SyntheticSettings(**SMALL, fractions=(0.6, 0.4), pixel_size_um=0.5)
    done = run_to_end(draw_data(tmp_path / "out", settings))
    assert done.report.bars == {32: 3} and done.report.notices == ()
    assert [row.share for row in done.report.phases] == pytest.approx([0.6, 0.4], abs=1 / (64 * 200))
    data = open_dataset(tmp_path / "out")
    assert data.scheme is not None and data.scheme.names == ("ferrite", "martensite")
    for item in data.items:
        image = item.read_image()
        assert image.pixel_size_um == pytest.approx(0.5)
        labels = item.read_labels(data.scheme, image.data.shape[:2])
        assert np.bincount(labels.ravel())[[1, 2, 255]].tolist() == [7680, 5120, 6400]
    origin = json.loads((tmp_path / "out" / "origin.json").read_text())
    assert origin["synthetic"] is True and origin["settings"] == {
        **settings.to_dict(),
        "phases": ["ferrite", "martensite"],
    }
    assert "no micrograph of a real material" in origin["layout"]["source"]


def test_the_same_seed_gives_the_same_bytes_also_when_it_was_stopped(tmp_path: Path) -> None:
    settings = SyntheticSettings(**SMALL)
    run_to_end(draw_data(tmp_path / "one", settings))
    events = draw_data(tmp_path / "two", settings)
    while (event := next(events)) != Progress("Drawing images", 2, 3):
        assert isinstance(event, Progress)
    events.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "two").exists() and part_of(tmp_path / "two").is_dir()
    assert run_to_end(draw_data(tmp_path / "two", settings)).resumed == 2
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    run_to_end(draw_data(tmp_path / "more", settings.changed(count=4)))
    more = bytes_of(tmp_path / "more")
    assert all(more[name] == data for name, data in bytes_of(tmp_path / "one").items() if ".tif" in name)


def test_what_was_drawn_with_other_settings_is_drawn_anew(tmp_path: Path) -> None:
    settings, out = SyntheticSettings(**SMALL), tmp_path / "out"
    events = draw_data(out, settings)
    for _ in range(3):
        next(events)
    events.close()  # type: ignore[attr-defined]
    assert run_to_end(draw_data(out, settings.changed(noise=0.1))).resumed == 0


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(DatasetError, match="is there already, and stays"):
        run_to_end(draw_data(tmp_path, SyntheticSettings(**SMALL)))


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["data", "synthetic", *map(str, arguments)])


def test_the_command_draws_what_the_job_draws(tmp_path: Path) -> None:
    result = run(
        tmp_path / "out", "--recipe", "laths", "--phases", "ferrite, bainite, MA", "--fractions", "55,35 %,10",
        "--count", "2", "--size", "80x120", "--seed", "5", "--length", "12", "--contrast", "0.4", "--texture", "0.05",
        "--gradient", "0.2", "--noise", "0.02", "--blur", "0.5", "--bar-rows", "16", "--pixel-size", "0.2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "2 images written." in result.stdout and "bainite" in result.stdout
    settings = SyntheticSettings(
        recipe="laths", phases=("ferrite", "bainite", "MA"), fractions=(0.55, 0.35, 0.1), count=2, height=80, width=120,
        seed=5, length_px=12.0, contrast=0.4, texture=0.05, gradient=0.2, noise=0.02, blur_px=0.5, bar_rows=16,
        pixel_size_um=0.2,
    )  # fmt: skip
    run_to_end(draw_data(tmp_path / "job", settings))
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "job")


def test_defaults_of_the_command_are_those_of_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import phaseguide.jobs.data.synthetic as jobs

    seen: list[SyntheticSettings] = []
    monkeypatch.setattr(jobs, "draw_data", lambda out, settings: seen.append(settings) or iter(()))
    run(tmp_path / "out")
    assert seen == [SyntheticSettings()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fractions", "70,20"), "The fractions sum to 90 %"),
        (("--fractions", "70,nan"), "Write area % of each phase, for example 70,30"),
        (("--fractions", "half,half"), "Write area % of each phase, for example 70,30"),
        (("--size", "512"), "Write rows x columns in px, for example 512x768"),
        (("--size", "8x8"), "height is 8; it must lie between 64 and 4096"),
        (("--count", "0"), "count is 0; it must lie between 1 and 100000"),
        (("--phases", "a,A"), "Two phases have the same name"),
        (("--noise", "nan"), "noise"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, options: tuple[str, str], words: str
) -> None:
    result = run(tmp_path / "out", *options)
    assert result.exit_code == 2 and words in result.stderr and result.stderr.count("\n") == 1, result.output
    assert list(tmp_path.iterdir()) == []
