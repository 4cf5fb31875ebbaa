"""What napari learns from the manifest: reader, samples, menu, preferences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from widget_helpers import micrograph
from workbench_helpers import open_part

PLUGIN = "napari-phaseguide"


@pytest.fixture
def viewer(plugins_are_known: None, model_viewer: Any) -> Any:
    return model_viewer


def test_manifest_is_valid_and_everything_in_it_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", "--imports", PLUGIN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_widget_does_not_import_torch() -> None:
    code = (
        "import sys, phaseguide.widgets.workbench.commands, phaseguide.widgets.reader, phaseguide.widgets.samples;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tiff_opens_with_its_scale(napari_window: None, viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "Field 3.TIF"
    tifffile.imwrite(
        path, micrograph(), imagej=True, resolution=(20, 20), metadata={"unit": "um", "axes": "YX"}
    )
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert layer.name == "Field 3"
    assert layer.scale == pytest.approx([0.05, 0.05])
    assert [f"{unit:~}" for unit in layer.units] == ["µm", "µm"]
    assert np.array_equal(layer.data, micrograph())


def test_tiff_without_scale_and_stacks(viewer: Any, tmp_path: Path) -> None:
    plain, stack = tmp_path / "plain.tif", tmp_path / "stack.tiff"
    tifffile.imwrite(plain, micrograph())
    tifffile.imwrite(
        stack,
        np.stack([micrograph(seed=i) for i in range(3)]),
        imagej=True,
        resolution=(10, 10),
        metadata={"unit": "um", "axes": "ZYX"},
    )
    first, second = viewer.open([plain, stack], plugin=PLUGIN)
    assert first.scale == pytest.approx([1, 1])
    assert second.data.shape == (3, 96, 128)
    assert second.scale == pytest.approx([1, 0.1, 0.1])


def test_reader_offers_an_information_bar(widget: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    data = micrograph((200, 240))
    data[176:] = 255
    data[182:190, 20:60] = 0
    tifffile.imwrite(tmp_path / "bar.tif", data)
    viewer.open(tmp_path / "bar.tif", plugin=PLUGIN)
    qtbot.waitUntil(lambda: not widget.panel.bar_check.isHidden())
    assert "24 rows" in widget.panel.bar_check.text()
    assert "scale unknown" in widget.panel.image_info.text()


def test_damaged_tiff(tmp_path: Path) -> None:
    from phaseguide.errors import MicrographError
    from phaseguide.widgets.reader import get_reader

    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\x00")
    read = get_reader(str(path))
    assert read is not None
    with pytest.raises(MicrographError, match=r"broken\.tif"):
        read(str(path))
    assert get_reader("picture.png") is None
    assert get_reader([]) is None


@pytest.mark.parametrize(
    ("name", "phase", "licence"),
    [
        ("uhcs0220", "spheroidite", "leibo-cmu/MatSeg (MIT licence)"),
        ("uhcs0495", "spheroidite", "leibo-cmu/MatSeg (MIT licence)"),
        (
            "spot2_0d_0",
            "tertiary precipitate",
            "set Super1 of nasa/pretrained-microscopy-models (MIT licence)",
        ),
        ("070516_1_S1160030", "crack", "set EBC2 of nasa/pretrained-microscopy-models (MIT licence)"),
    ],
)
def test_samples(viewer: Any, name: str, phase: str, licence: str) -> None:
    image, labels = viewer.open_sample(PLUGIN, name)
    assert image.name == name and image.data.ndim == 2
    assert not labels.visible
    assert labels.data.shape == image.data.shape
    assert phase in list(labels.features["phase"])
    assert licence in image.metadata["source"] and image.metadata["source"] == labels.metadata["source"]


def test_menu_and_widget_are_there() -> None:
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest(PLUGIN)
    assert [w.display_name for w in manifest.contributions.widgets] == ["Phase Guide"]
    item, more = manifest.contributions.menus["napari/layers/segment"]
    assert item.command == f"{PLUGIN}.segment"
    assert len(manifest.contributions.menus[more.submenu]) == 7


def test_preferences_set_the_defaults(viewer: Any, npe2pm: Any, plugin_settings: Any) -> None:
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    if PLUGIN not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    stored = get_plugin_settings(PLUGIN).segment
    stored.device, stored.usual_source, stored.flips = "CPU", "EBSD or point count of this field", "off"
    stored.tile, stored.memory_mb = 640, 1024
    _, widget = open_part(viewer, "Segment")
    advanced = widget.panel.advanced.value()
    assert (advanced.device, advanced.flips, advanced.tile, advanced.memory_mb) == ("cpu", "off", 640, 1024)
    assert widget.state.source.uncertainty == 0.1
