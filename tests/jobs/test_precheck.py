"""What is told before any image is segmented."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from phaseguide.errors import MicrographError, ModelError, OutputError, PhaseguideError
from phaseguide.files import atomic
from phaseguide.jobs.image_files import find_images
from phaseguide.jobs.precheck import check_channels, check_results
from phaseguide.micrographs.records import write_result
from phaseguide.models.model_file import read_card
from tiny_models import tiny_image, tiny_model


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tiny_image()).save(path)
    return path


def result(out: Path, stem: str, **parts: bytes) -> Path:
    """Files of a result as an earlier run wrote them: ``labels``, ``overlay`` by their endings."""
    files = {
        out / f"{stem}_{name}.{'tif' if name == 'labels' else 'png'}": data for name, data in parts.items()
    }
    write_result(out / f"{stem}.json", {"labels": f"{stem}_labels.tif", "model": {}}, files)
    return out / f"{stem}.json"


def check(images: list[Path], out: Path, **options: bool) -> None:
    check_results(images, out, **{"overlay": True, "replace": False, **options})


def test_a_sound_place_is_checked_without_making_anything(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png")
    check([image], tmp_path / "new" / "deep")
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("name", ["a_labels.tif", "a.json", "a_overlay.png", "a_overlay.tif"])
def test_what_is_not_a_result_stays_even_when_results_may_be_replaced(tmp_path: Path, name: str) -> None:
    image, out = save(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"my": "notes"}')
    for replace in (False, True):  # --overwrite would not help, so it is not advised
        with pytest.raises(OutputError, match=f"{name}: .*stays"):
            check([image], out, replace=replace)


def test_a_result_that_was_changed_since_stays(tmp_path: Path) -> None:
    image, out = save(tmp_path / "a.png"), tmp_path / "out"
    result(out, "a", labels=b"map", overlay=b"picture")
    check([image], out, replace=True)
    (out / "a_labels.tif").write_bytes(b"painted by hand")
    with pytest.raises(OutputError, match=r"a_labels\.tif: was changed or replaced since"):
        check([image], out, replace=True)


def test_a_link_in_the_place_of_a_result_is_not_written_through(tmp_path: Path) -> None:
    image, out = save(tmp_path / "a.png"), tmp_path / "out"
    result(out, "a", labels=b"map")
    (out / "a_labels.tif").rename(tmp_path / "elsewhere.tif")
    (out / "a_labels.tif").symlink_to(tmp_path / "elsewhere.tif")
    with pytest.raises(OutputError, match="no plain file"):
        check([image], out, replace=True)
    (out / "a_labels.tif").unlink()
    (out / "a_labels.tif").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="no plain file"):
        check([image], out)


def test_an_input_that_has_the_name_of_a_result_stays(tmp_path: Path) -> None:
    image, other = save(tmp_path / "a.png"), save(tmp_path / "sub" / "a_overlay.png")
    with pytest.raises(OutputError, match=r"a_overlay\.png"):
        check([image, other], tmp_path / "sub", replace=True)


@pytest.mark.parametrize("other", ["out/a.json", "out/../out/A_LABELS.tif", "out/a_overlay.png"])
def test_another_output_of_the_run_may_not_have_the_name_of_a_result(tmp_path: Path, other: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="result of this run"):
        check_results(
            [save(tmp_path / "a.png")],
            tmp_path / "out",
            overlay=True,
            replace=False,
            others=[tmp_path / other],
        )


def test_names_are_measured_in_bytes_and_with_their_endings(tmp_path: Path) -> None:
    fits, long = save(tmp_path / f"{'x' * 243}.png"), save(tmp_path / f"{'ü' * 123}.png")
    check([fits], tmp_path / "out", overlay=False)
    with pytest.raises(PhaseguideError, match="longer than the 255 bytes"):
        check([long], tmp_path / "out", overlay=False)
    write_result(tmp_path / f"{'y' * 243}.json", {"model": {}}, {tmp_path / f"{'y' * 243}_labels.t": b""})


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(PhaseguideError, match="cannot be written"):
        check([image], tmp_path / "file")

    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", denied)
    with pytest.raises(PhaseguideError, match="Permission denied"):
        check([image], tmp_path / "out")


def test_a_disk_that_is_too_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, broken = save(tmp_path / "a.png"), tmp_path / "b.png"
    broken.write_bytes(b"no image")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10_000))
    check([image], tmp_path, overlay=False)
    check([broken], tmp_path)
    with pytest.raises(PhaseguideError, match=r"results of 1 images take at least .* are free"):
        check([image], tmp_path)


def test_a_model_for_other_channels(tmp_path: Path) -> None:
    check_channels(read_card(tiny_model(tmp_path)))
    with pytest.raises(ModelError, match="for 5 channels, but micrographs have 1 or 3"):
        check_channels(read_card(tiny_model(tmp_path, in_channels=5, file_name="five.safetensors")))


@pytest.mark.parametrize(
    ("one", "two"), [("Field", "field"), ("Gefüge", "Gefu\u0308ge"), ("STRASSE", "straße")]
)
def test_names_that_some_disks_do_not_tell_apart(tmp_path: Path, one: str, two: str) -> None:
    images = [save(tmp_path / f"{one}.png"), save(tmp_path / f"{two}.tif")]
    with pytest.raises(MicrographError, match="does not tell such letters apart"):
        find_images(images)


def test_results_among_files_that_are_named_are_left_out_and_told(tmp_path: Path) -> None:
    a = save(tmp_path / "a.tif")
    told: list[str] = []
    result(tmp_path, "a", labels=b"map", overlay=b"picture")
    result(tmp_path, "gone", labels=b"map of an image elsewhere")
    other = save(tmp_path / "b_labels.tif")  # nobody's result
    given = [a, *(tmp_path / name for name in ("a_labels.tif", "a_overlay.png", "gone_labels.tif")), other]
    assert find_images(given, told.append) == [a, other]
    assert "a_labels.tif, a_overlay.png, gone_labels.tif" in told[0] and "left out" in told[0]
    assert find_images([tmp_path]) == [a, other]
    with pytest.raises(MicrographError, match="not micrographs"):
        find_images([tmp_path / "a_labels.tif"])


def test_a_record_of_somebody_else_names_no_path(tmp_path: Path) -> None:
    a = save(tmp_path / "a.tif")
    (tmp_path / "x.json").write_text(
        '{"model": {}, "parts": {"../a.tif": "", "": "", "sub/a.tif": "", "b": 1}}'
    )
    assert find_images([a]) == [a]
