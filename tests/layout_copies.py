"""Small copies of published data sets and of what annotation tools write, in the layout that they come in."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

SIZE = (40, 60)
"""Height and width of most of them; rectangles below are told in px, (left, top, right, bottom)."""

ISLAND, HOLE = (10, 5, 30, 25), (15, 10, 20, 20)


def grey(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Noise that no search for bars or rims takes for one."""
    return np.random.default_rng(seed).integers(60, 200, size).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    else:
        Image.fromarray(array).save(path)
    return path


def corners(box: tuple[float, float, float, float] = ISLAND) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def inside(box: tuple[int, int, int, int] = ISLAND, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def quarters(values: tuple[int, ...], size: tuple[int, int] = SIZE, dtype: Any = np.uint8) -> np.ndarray:
    """A map of vertical stripes with these values."""
    return np.repeat(np.array(values, dtype), -(-size[1] // len(values)))[: size[1]][None].repeat(size[0], 0)


def uhcs_values(rows: int = 38) -> np.ndarray:
    values = quarters((0, 1, 2, 3), (60, 60), np.int64)
    values[-rows:] = -1
    return values


def uhcs_h5(
    folder: Path, names: tuple[str, ...] = ("micrograph1176", "micrograph6", "micrograph357")
) -> Path:
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "uhcs.h5", "w") as file:
        for number, name in enumerate(names):
            group = file.create_group(name)
            group["image"] = grey(number, (60, 60))
            group["labels"] = uhcs_values()
    return folder


def uhcs_files(folder: Path, *, first: int = 0, height: int = 522) -> Path:
    for number in (6, 220):
        values = quarters((0, 1, 2, 3), (height, 60)) + first
        save(folder / "images" / f"uhcs{number:04d}.png", grey(number, (height, 60)))
        save(folder / "labels" / f"uhcs{number:04d}.png", values.astype(np.uint8))
    return folder


def super_mask(dtype: Any = np.uint8) -> np.ndarray:
    """RGBA as published: grey below, pure blue and pure red in two stripes."""
    full = np.iinfo(dtype).max
    mask = np.repeat(grey(5).astype(dtype)[..., None], 4, axis=-1)
    mask[..., 3] = full
    mask[:, 20:40, :3] = (0, 0, full)
    mask[:, 40:45, :3] = (full, 0, 0)
    return mask


def superalloy(folder: Path) -> Path:
    for split, names, dtype in (("train", "ab", np.uint8), ("val", "c", np.uint8), ("test", "d", np.uint16)):
        for name in names:
            image = grey(ord(name)).astype(dtype) * (257 if dtype == np.uint16 else 1)
            save(folder / split / f"{name}.tif", image.astype(dtype))
            path = folder / f"{split}_annot" / f"{name}_mask.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, super_mask(dtype), photometric="rgb", extrasamples=["unassalpha"])
    return folder


def ebc(folder: Path) -> Path:
    for split, name in (("train", "040617#2_S127(2)0015"), ("test", "b")):
        save(folder / split / f"{name}.tif", grey(len(name)))
        save(folder / f"{split}_annot" / f"{name}.tif", quarters((0, 1, 2)))
    return folder


def metaldam(folder: Path, count: int = 6) -> Path:
    for number in range(1, count + 1):
        save(folder / "images" / f"micrograph{number}.png", grey(number, (120, 60)))
        save(folder / "labels" / f"micrograph{number}.png", quarters((0, 1, 2, 3, 4), (55, 60)))
    return folder


def aachen(folder: Path, rows: list[str] | None = None, images: str = "ab") -> Path:
    for name in images:
        save(folder / "PNG" / f"{name}.png", grey(ord(name)))
    told = [
        f"a.png;(20, 15);{corners()}",
        f"a.png;(45, 30);{corners((40, 28, 50, 35))}",
        f"b.png;(1, 1);{corners()}",
    ]
    lines = ["image_url;point;polygon", *(told if rows is None else rows)]
    (folder / "annotations_polygon.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def coco_data(**changes: Any) -> dict[str, Any]:
    flat = [float(n) for pair in corners() for n in pair]
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]},
            {"id": 8, "file_name": "b.png", "height": SIZE[0], "width": SIZE[1]},
        ],
        "categories": [{"id": 3, "name": "bainite"}, {"id": 1, "name": "ferrite"}],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 3, "segmentation": [flat]},
            {"id": 12, "image_id": 8, "category_id": 1, "segmentation": [flat]},
        ],
        **changes,
    }


def coco(folder: Path, data: Any = None) -> Path:
    for name in "ab":
        save(folder / "images" / f"{name}.png", grey(ord(name)))
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / "instances.json").write_text(json.dumps(coco_data() if data is None else data))
    return folder


def shape(label: str, points: Any, kind: str = "polygon") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind}


def labelme(folder: Path, shapes: list[dict[str, Any]] | None = None, name: str = "a") -> Path:
    save(folder / f"{name}.png", grey(ord(name)))
    told = [shape("bainite", corners())] if shapes is None else shapes
    data = {"shapes": told, "imagePath": f"{name}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    (folder / f"{name}.json").write_text(json.dumps(data))
    return folder


def points_text(box: tuple[float, float, float, float] = ISLAND) -> str:
    return ";".join(f"{x},{y}" for x, y in corners(box))


def cvat(folder: Path, shapes: str | None = None) -> Path:
    for name in "ab":
        save(folder / "images" / f"{name}.png", grey(ord(name)))
    told = (
        f'<polygon label="bainite" points="{points_text()}" z_order="0"></polygon>'
        if shapes is None
        else shapes
    )
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <meta><task><labels>
    <label><name>ferrite</name><color>#33ddff</color></label>
    <label><name>bainite</name><color>#fa3253</color></label>
  </labels></task></meta>
  <image id="0" name="a.png" subset="train" width="{SIZE[1]}" height="{SIZE[0]}">
    {told}
  </image>
  <image id="1" name="b.png" subset="test" width="{SIZE[1]}" height="{SIZE[0]}">
    <box label="ferrite" xtl="10" ytl="5" xbr="30" ybr="25" z_order="0"></box>
  </image>
</annotations>
"""
    (folder / "annotations.xml").write_text(text, encoding="utf-8")
    return folder


def feature(name: str | None, rings: list[Any], kind: str = "Polygon") -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": "annotation"}
    if name:
        properties["classification"] = {"name": name, "color": [250, 62, 62]}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


def qupath(folder: Path, features: list[dict[str, Any]] | None = None) -> Path:
    save(folder / "images" / "a.png", grey(1))
    closed = [[*corners(box), corners(box)[0]] for box in (ISLAND, HOLE)]
    told = [feature("bainite", closed)] if features is None else features
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": told}))
    return folder


def imagej(folder: Path, rois: dict[str, Any] | None = None) -> Path:
    """``rois`` are bytes by name; without, a rectangle of bainite and an outline of ferrite."""
    import roifile

    save(folder / "a.tif", grey(1))
    polygon = roifile.ImagejRoi.frompoints(np.array(corners((40, 5, 50, 15))))
    rectangle = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=ISLAND[0], top=ISLAND[1], right=ISLAND[2], bottom=ISLAND[3]
    )
    told = {"bainite-1": rectangle.tobytes(), "ferrite-12": polygon.tobytes()} if rois is None else rois
    with zipfile.ZipFile(folder / "a_RoiSet.zip", "w") as archive:
        for name, data in told.items():
            archive.writestr(f"{name}.roi", data)
    return folder


def colour_masks(folder: Path, mask: np.ndarray | None = None, table: str | None = None) -> Path:
    save(folder / "images" / "a.png", grey(1))
    if mask is None:
        mask = np.zeros((*SIZE, 3), np.uint8)
        mask[..., 0] = 255
        mask[inside()] = (0, 0, 255)
    save(folder / "masks" / "a_mask.png", mask)
    text = "colour,phase\n#ff0000,ferrite\n#0000ff,bainite\n#000000,excluded\n" if table is None else table
    (folder / "colours.csv").write_text(text)
    return folder
