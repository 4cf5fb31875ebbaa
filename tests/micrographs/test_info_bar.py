"""The information bar is found where there is one, and only there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from phaseguide.micrographs import detect_info_bar

Plane = NDArray[np.uint8]


def texture(seed: int = 0, height: int = 480, width: int = 640) -> Plane:
    """Noisy lamellae on a shaded background, some of it saturated."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    grey = 110 + 50 * np.sin(x / 9 + y / 25) + 30 * np.sin(y / 160) + rng.normal(0, 18, (height, width))
    return np.clip(grey, 0, 255).astype(np.uint8)


def bar(kind: str, rows: int, width: int) -> Plane:
    """Paint a bar as SEM software does."""
    paper, ink = {"black": (0, 255), "white": (255, 0), "fei": (64, 235), "empty": (0, 0)}[kind]
    picture = Image.new("L", (width, rows), paper)
    pen = ImageDraw.Draw(picture)
    if kind == "fei":  # framed cells
        pen.rectangle((0, 0, width - 1, rows - 1), outline=ink, width=2)
        for x in range(width // 6, width, width // 6):
            pen.line((x, 0, x, rows), fill=ink, width=2)
    for y in range(8, rows - 10, 16):
        pen.text((10, y), "HV 20.00 kV   WD 10.1 mm  mag 2 000 x   det BSED  2019-05-11  14:02:33", fill=ink)
    pen.rectangle((width - width // 4, rows // 2, width - 20, rows // 2 + 4), fill=ink)
    return np.asarray(picture)


@pytest.mark.parametrize("kind", ["black", "white", "fei", "empty"])
@pytest.mark.parametrize("rows", [20, 38, 65])
@pytest.mark.parametrize("seed", [0, 1])
def test_synthetic_bar_under_a_texture(kind: str, rows: int, seed: int) -> None:
    image = np.vstack([texture(seed), bar(kind, rows, 640)])
    assert abs(detect_info_bar(image) - rows) <= 2


@pytest.mark.parametrize("kind", ["black", "white", "fei"])
def test_every_pixel_type_and_colour(kind: str) -> None:
    image = np.vstack([texture(), bar(kind, 40, 640)])
    for same in (
        image.astype(np.uint16) * 257,
        image.astype(np.float32) / 255,
        np.repeat(image[..., None], 3, axis=-1),
        255 - image,
    ):
        assert abs(detect_info_bar(same) - 40) <= 2


@pytest.mark.parametrize("kind", ["black", "white", "fei"])
def test_at_the_top(kind: str) -> None:
    image = np.vstack([bar(kind, 40, 640), texture()])
    assert detect_info_bar(image) == 0
    assert abs(detect_info_bar(image[::-1]) - 40) <= 2


@pytest.mark.parametrize(("kind", "axis"), [("black", 0), ("black", 1), ("fei", 1)])
def test_shaded(kind: str, axis: int) -> None:
    rows = 48
    shade = np.linspace(20, 80, (rows, 640)[axis])
    painted = np.clip(bar(kind, rows, 640) + (shade[:, None] if axis == 0 else shade[None]), 0, 255)
    assert abs(detect_info_bar(np.vstack([texture(), painted.astype(np.uint8)])) - rows) <= 2


@pytest.mark.parametrize("sigma", [3, 6, 10])
def test_with_the_noise_of_a_camera(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(0, sigma, (40, 640))
    painted = np.clip(np.clip(bar("black", 40, 640), 25, 225) + noise, 0, 255)
    assert abs(detect_info_bar(np.vstack([texture(), painted.astype(np.uint8)])) - 40) <= 2


@pytest.mark.parametrize("kind", ["black", "white"])
def test_taller_than_a_quarter(kind: str) -> None:
    image = np.vstack([texture(height=160), bar(kind, 100, 640)])
    assert abs(detect_info_bar(image) - 100) <= 2


@pytest.mark.parametrize("cut", [0, 3], ids=["edge between blocks", "edge within a block"])
@pytest.mark.parametrize("kind", ["black", "white", "fei"])
def test_bar_after_jpeg_compression(kind: str, cut: int) -> None:
    image = Image.fromarray(np.vstack([texture()[cut:], bar(kind, 48, 640)]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    assert abs(detect_info_bar(np.asarray(Image.open(buffer))) - 48) <= 3


@pytest.mark.parametrize(
    "image",
    [
        texture(),
        np.zeros((400, 400), np.uint8),
        np.full((400, 400), 7.5, np.float32),
        np.full((400, 400), np.nan, np.float32),
        np.zeros((1, 1), np.uint8),
        np.vstack([texture(), np.zeros((300, 640), np.uint8)]),  # half the picture is no bar
        np.vstack([texture(), np.zeros((4, 640), np.uint8)]),
    ],
    ids=["texture", "black", "constant", "nan", "one pixel", "black half", "thin line"],
)
def test_no_bar(image: NDArray[np.generic]) -> None:
    assert detect_info_bar(image) == 0


def test_dark_resin_is_no_bar() -> None:
    rng = np.random.default_rng(0)
    resin = np.clip(rng.normal(20, 4, (60, 640)), 0, 255).astype(np.uint8)
    assert detect_info_bar(np.vstack([texture(), resin])) == 0
    rough = texture()
    edge = 430 + (8 * np.sin(np.arange(640) / 40)).astype(int)
    rough[np.arange(480)[:, None] > edge] = 0
    assert detect_info_bar(rough) == 0


def _real(shared_data: Path) -> list[Path]:
    files = sorted(shared_data.glob("**/images/*.png"))
    assert len(files) >= 20
    return files


def test_real_micrographs_have_none(shared_data: Path) -> None:
    found = {file.name: detect_info_bar(np.asarray(Image.open(file))) for file in _real(shared_data)}
    assert {name: rows for name, rows in found.items() if rows} == {}


@pytest.mark.parametrize("kind", ["black", "white", "fei"])
def test_bar_under_every_real_micrograph(shared_data: Path, kind: str) -> None:
    wrong = {}
    for file in _real(shared_data):
        image = np.asarray(Image.open(file))
        rows = round(0.07 * len(image))
        found = detect_info_bar(np.vstack([image, bar(kind, rows, image.shape[1])]))
        if abs(found - rows) > 2:
            wrong[file.name] = (rows, found)
    assert wrong == {}
