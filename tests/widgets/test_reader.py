"""What opening TIFF files gives: micrographs, stacks, and label maps of the program as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from phaseguide.errors import MicrographError
from phaseguide.micrographs import write_label_map
from phaseguide.micrographs.label_maps import is_own_label_map
from phaseguide.micrographs.records import write_record
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.reader import read_layers
from widget_helpers import micrograph

PLUGIN = "napari-phaseguide"
SCHEME = PhaseScheme.from_names(("ferrite", "pearlite"))


@pytest.fixture
def viewer(plugins_are_known: None, model_viewer: Any) -> Any:
    return model_viewer


def write(path: Path, data: np.ndarray, pixel_um: float = 0.0) -> str:
    about: dict[str, Any] = {"photometric": "rgb" if data.shape[-1] == 3 else "minisblack"}
    if pixel_um:
        about = {"imagej": True, "resolution": (1 / pixel_um, 1 / pixel_um), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, data, **about)
    return str(path)


def labels() -> np.ndarray:
    return np.repeat(np.array([[1, 2, 0, 255]], np.uint8), 6, axis=0)


def test_files_opened_as_a_stack_are_one_layer(viewer: Any, tmp_path: Path) -> None:
    data = [micrograph(seed=n) for n in range(3)]
    files = [write(tmp_path / f"z{n}.tif", plane, 0.125) for n, plane in enumerate(data)]
    (layer,) = viewer.open(files, stack=True, plugin=PLUGIN)
    assert np.array_equal(layer.data, np.stack(data)) and not layer.rgb
    assert layer.name == "z0 to z2" and layer.scale == pytest.approx([1, 0.125, 0.125])
    assert viewer.dims.ndim == 3
    assert [one.name for one in viewer.open(files, plugin=PLUGIN)] == ["z0", "z1", "z2"]


def test_colour_files_as_a_stack(viewer: Any, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (2, 12, 14, 3)).astype(np.uint8)
    files = [write(tmp_path / f"c{n}.tif", plane) for n, plane in enumerate(colours)]
    (layer,) = viewer.open(files, stack=True, plugin=PLUGIN)
    assert layer.rgb and np.array_equal(layer.data, colours)


def test_one_file_as_a_stack_is_that_file(tmp_path: Path) -> None:
    ((data, about, kind),) = read_layers([write(tmp_path / "alone.tif", micrograph())])
    assert data.ndim == 2 and about["name"] == "alone" and kind == "image"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (np.zeros((96, 120), np.uint8), "96 x 120"),
        (np.zeros((96, 128), np.uint16), "uint16"),
        (np.tile(np.arange(3, dtype=np.uint8), (96, 128, 1)), "in colour"),
        (np.zeros((5, 96, 128), np.uint8), "a stack itself"),
    ],
    ids=["size", "type", "colour", "stack"],
)
@pytest.mark.parametrize("first", [True, False])
def test_files_that_are_no_stack_are_refused(
    other: np.ndarray, reason: str, first: bool, tmp_path: Path
) -> None:
    files = [write(tmp_path / "a.tif", micrograph()), write(tmp_path / "b.tif", other)]
    with pytest.raises(MicrographError, match=reason) as refused:
        read_layers(files[::-1] if first else files)
    assert str(tmp_path) in str(refused.value) and "pen" in str(refused.value)


def test_planes_of_different_scale_have_none(told: list[str], tmp_path: Path) -> None:
    files = [write(tmp_path / f"z{n}.tif", micrograph(), 0.1 * (n + 1)) for n in range(2)]
    ((_, about, _),) = read_layers(files)
    assert "scale" not in about and about["metadata"]["phaseguide"]["pixel_size_um"] is None
    assert any("size of a pixel" in one for one in told)


def test_label_maps_open_as_labels_wherever_they_lie(viewer: Any, tmp_path: Path) -> None:
    """Such as the edits of a project, which have no record beside them."""
    write_label_map(tmp_path / "any name.tif", labels(), 0.5)
    (layer,) = viewer.open(tmp_path / "any name.tif", plugin=PLUGIN)
    assert type(layer).__name__ == "Labels" and np.array_equal(layer.data, labels())
    assert layer.scale == pytest.approx([0.5, 0.5])


def test_a_result_has_the_colours_and_names_of_its_record(viewer: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s_labels.tif", labels())  # as written before label maps said what they are
    write_record(tmp_path / "s.json", {"labels": "s_labels.tif", "model": {}, **SCHEME.to_dict()})
    (layer,) = viewer.open(tmp_path / "s_labels.tif", plugin=PLUGIN)
    assert type(layer).__name__ == "Labels"
    assert "pearlite" in list(layer.features["phase"])
    assert layer.colormap.map(2) == pytest.approx(_colour(SCHEME), abs=0.01)


def test_a_record_without_phases_gives_plain_labels(viewer: Any, tmp_path: Path) -> None:
    write_label_map(tmp_path / "s_labels.tif", labels())
    write_record(tmp_path / "s.json", {"labels": "s_labels.tif", "model": {}, "phases": [{"label": "x"}]})
    (layer,) = viewer.open(tmp_path / "s_labels.tif", plugin=PLUGIN)
    assert type(layer).__name__ == "Labels"


def test_label_maps_as_a_stack(viewer: Any, tmp_path: Path) -> None:
    files = [tmp_path / f"m{n}.tif" for n in range(3)]
    for file in files:
        write_label_map(file, labels())
    (layer,) = viewer.open(files, stack=True, plugin=PLUGIN)
    assert type(layer).__name__ == "Labels" and layer.data.shape == (3, 6, 4)
    with pytest.raises(MicrographError, match=r"photo\.tif"):
        read_layers([str(files[0]), write(tmp_path / "photo.tif", micrograph())])


def test_labels_of_others_stay_images(tmp_path: Path) -> None:
    assert read_layers(write(tmp_path / "x_labels.tif", labels()))[0][2] == "image"
    assert not is_own_label_map(tmp_path / "not there.tif") and not is_own_label_map(tmp_path)


def _colour(scheme: PhaseScheme) -> list[float]:
    from napari.utils.colormaps.standardize_color import transform_color

    return list(transform_color(scheme.phases[1].colour)[0])
