"""A warning when an image is unlike those that a model was trained on.

A network answers with the same confidence whatever it is shown. A few cheap properties of the image
(contrast, noise, how fine and how strong its texture is) are compared with the range that they had
over the training images; where one lies far outside, a sentence says which. What this cannot see:
phases that nobody trained but that look like trained ones, and everything that leaves grey values
and texture as they are. No warning is no promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DatasetError

Floats = NDArray[np.float64]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

FEWEST_IMAGES = 4
"""Of fewer images nobody knows how much they vary."""

SMALLEST_PX = 64
"""Shorter sides show too little texture to be judged."""

SAME_SCALE = 1.5
"""Pixel sizes that differ by a larger factor show the structure at another scale."""

LEAST_THRESHOLD = 2.0

UNLIKE = "Unlike the training images"
"""How the warning begins."""

_LIMITS_PX = 512
"""Sides of the regular sample that the grey limits of a large image are taken from."""

_AROUND = np.ones((3, 3), dtype=bool)  # what the noise at a pixel is taken from

_TILE_PX, _TILES = 256, 3
"""A large image is looked at in three times three tiles, at full resolution."""


@dataclass(frozen=True)
class Property:
    """One number that describes an image.

    Attributes
    ----------
    name : str
        In the model card.
    floor : float
        A difference that means nothing. Added, in squares, to the spread over the training images, so that
        images that resemble one another by chance do not make every other one strange.
    below, above : str
        What an image with a lower or higher value has, in words that go before "than". Empty: no harm.
    """

    name: str
    floor: float
    below: str
    above: str


PROPERTIES = (
    Property("contrast", 0.3, "less contrast", "more contrast"),
    Property("clipped", 0.3, "", "more pixels that are fully black or white"),
    Property(
        "skew",
        0.1,
        "darker details on a brighter ground (is the contrast inverted?)",
        "brighter details on a darker ground (is the contrast inverted?)",
    ),
    Property("noise", 0.3, "less fine noise (was it blurred or enlarged?)", "more noise"),
    Property("sharpness", 0.15, "blurrier fine detail", "sharper fine detail"),
    Property("fineness", 0.25, "coarser texture", "finer texture"),
    Property("strength", 0.25, "weaker texture", "stronger texture"),
    Property("unevenness", 0.3, "less difference between smooth and rough areas",
             "more difference between smooth and rough areas"),
)  # fmt: skip
NAMES = tuple(p.name for p in PROPERTIES)
FLOORS = np.array([p.floor for p in PROPERTIES])


def describe_image(image: NDArray[Any], *, invert: bool = False, excluded: Mask | None = None) -> Floats:
    """Measure the `PROPERTIES` of an image, after the normalisation that the model itself gets.

    Contrast (log2) is the 0.5 to 99.5 percentile range as part of what the data type can hold; clipped
    (log10) the share of pixels at the image's darkest and brightest value; skew in [-1, 1] compares the
    distances of the 10 and 90 percentile from the median. Noise (log2) is the response to the mask of
    Immerkaer (1996, doi 10.1006/cviu.1996.0060) in the calmest tenth of blocks of 16 px. Texture is taken
    from the root-mean-square detail of the first three octaves of a pyramid of 2 x 2 means (log2), which
    has no direction: sharpness is octave 1 against 2, fineness octave 1 against 3, strength octave 2;
    unevenness (log2) the local standard deviation in the roughest against the calmest tenth of blocks.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, 3)
        Without its information bar. A large one is looked at in nine tiles.
    invert : bool
        The model gets the image with dark and bright exchanged.
    excluded : ndarray of bool, shape (H, W), optional
        Pixels that do not count.

    Returns
    -------
    ndarray of float64, shape (P,)
        In the order of `NAMES`; NaN where nothing can be said.
    """
    from scipy.ndimage import binary_erosion

    from phaseguide.models.segmenter import intensity_limits, normalise_image
    from phaseguide.segmentation.network.channels import fit_channels

    if min(image.shape[:2]) < SMALLEST_PX:
        return np.full(len(NAMES), np.nan)
    step_y, step_x = (max(1, n // _LIMITS_PX) for n in image.shape[:2])
    counts = np.ones(image.shape[:2], dtype=bool) if excluded is None else ~excluded
    sample = fit_channels(image[::step_y, ::step_x], 1, "image")
    limits = intensity_limits(sample, None if excluded is None else excluded[::step_y, ::step_x])
    looked_at = list(zip(_tiles(image), _tiles(counts), strict=True))
    looked_at = [(fit_channels(tile, 1, "image"), shown) for tile, shown in looked_at if shown.any()]
    tiles = [
        (tile[shown], normalise_image(tile, limits, invert=invert)[0], shown) for tile, shown in looked_at
    ]
    noise = [
        _blocks(_noise(p) ** 2).mean(axis=(1, 3))[_whole(binary_erosion(shown, _AROUND)[1:-1, 1:-1])]
        for _, p, shown in tiles
    ]
    rough = [_blocks(p).std(axis=(1, 3))[_whole(shown)] for _, p, shown in tiles]
    strengths = np.array([_octaves(p, shown) for _, p, shown in tiles]).reshape(-1, 3)
    strengths = strengths[np.isfinite(strengths).all(axis=1)]
    if not (sum(map(len, noise)) and sum(map(len, rough)) and len(strengths)):
        return np.full(len(NAMES), np.nan)
    darkest, brightest = min(t.min() for t, _, _ in tiles), max(t.max() for t, _, _ in tiles)
    clipped = [np.mean(t == darkest) + np.mean(t == brightest) for t, _, _ in tiles]
    values = np.concatenate([plane[::2, ::2][shown[::2, ::2]] for _, plane, shown in tiles])
    dark, middle, bright = np.percentile(values, (10, 50, 90))
    calm = np.percentile(np.concatenate(noise), 10)
    low, high = np.percentile(np.concatenate(rough), (10, 90))
    octaves = 0.5 * np.log2(strengths.mean(axis=0) + 1e-6)
    return np.array(
        [
            np.log2(max(limits[1] - limits[0], 1e-6) / _range(darkest, brightest, image.dtype)),
            np.log10(np.mean(clipped) + 1e-3),
            (dark + bright - 2 * middle) / max(bright - dark, 1e-3),
            0.5 * np.log2(calm + 1e-6),
            octaves[0] - octaves[1],
            octaves[0] - octaves[2],
            octaves[1],
            np.log2((high + 1e-3) / (low + 1e-3)),
        ]
    )


@dataclass(frozen=True)
class TrainingDomain:
    """What the training images were like.

    Attributes
    ----------
    centre, spread : ndarray of float64, shape (P,)
        Median of each property over the training images; standard deviation, with `Property.floor`.
    lowest, highest : ndarray of float64, shape (P,)
        Range over the training images.
    threshold : float
        Distance from which on an image is unlike them.
    source : str
        Which images, in words.
    pixel_size_um : float or None
        Of the training images.
    """

    centre: Floats
    spread: Floats
    lowest: Floats
    highest: Floats
    threshold: float
    source: str = ""
    pixel_size_um: float | None = None

    @classmethod
    def fit(
        cls, images: Iterable[NDArray[Any]], *, source: str = "", pixel_size_um: float | None = None
    ) -> TrainingDomain:
        """Learn from the training images.

        The threshold is what leaves nine in ten of them without a warning when each is compared with
        all others, and a tenth more; at least `LEAST_THRESHOLD`.

        Raises
        ------
        DatasetError
            Fewer than `FEWEST_IMAGES`.
        """
        table = np.array([describe_image(image) for image in images]).reshape(-1, len(NAMES))
        return cls.from_properties(table, source=source, pixel_size_um=pixel_size_um)

    @classmethod
    def from_properties(
        cls, table: Floats, *, source: str = "", pixel_size_um: float | None = None
    ) -> TrainingDomain:
        """Learn from what `describe_image` says of each training image, shape (images, P)."""
        table = table[~np.isnan(table).all(axis=1)]
        if len(table) < FEWEST_IMAGES:
            raise DatasetError(
                f"{len(table)} images are too few to say what the training images have in common; "
                f"use {FEWEST_IMAGES} or more."
            )
        others = [cls(*_summary(np.delete(table, i, axis=0)), 0.0) for i in range(len(table))]
        left_out = [one.distance(row) for one, row in zip(others, table, strict=True)]
        threshold = max(LEAST_THRESHOLD, 1.1 * float(np.quantile(left_out, 0.9)))
        return cls(*_summary(table), threshold, source, pixel_size_um)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, pixel_size_um: float | None = None) -> TrainingDomain:
        """Read what `to_dict` gave. Properties that only another version knows are left out."""

        def values(key: str) -> Floats:
            known = dict(zip(data["names"], data[key], strict=True))
            return np.array([known.get(name) for name in NAMES], dtype=np.float64)

        return cls(
            values("centre"),
            values("spread"),
            values("lowest"),
            values("highest"),
            float(data["threshold"]),
            str(data["source"]),
            pixel_size_um,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into a model card: names, centre, spread, lowest, highest, threshold, source."""
        known = np.flatnonzero(~np.isnan(self.centre))
        columns = {
            key: [float(getattr(self, key)[i]) for i in known]
            for key in ("centre", "spread", "lowest", "highest")
        }
        names = [NAMES[i] for i in known]
        return {"names": names, **columns, "threshold": self.threshold, "source": self.source}

    def deviations(self, properties: Floats) -> Floats:
        """Distance of each property, (P,), from the centre in spreads; 0 inside the training range or if harmless.

        Negative below the range, positive above it.
        """
        deviation = np.nan_to_num((properties - self.centre) / self.spread)
        below = (properties < self.lowest) & [bool(p.below) for p in PROPERTIES]
        above = (properties > self.highest) & [bool(p.above) for p in PROPERTIES]
        return np.where(below | above, deviation, 0.0)

    def distance(self, properties: Floats) -> float:
        """Largest of the `deviations`, whatever its sign."""
        return float(np.abs(self.deviations(properties)).max())

    def warning(
        self,
        image: NDArray[Any],
        pixel_size_um: float | None = None,
        *,
        invert: bool = False,
        excluded: Mask | None = None,
    ) -> str | None:
        """Say in one sentence what about an image is unlike the training images; None if nothing is.

        Another scale than in training, where both are known, is told first.
        """
        scale = scale_warning(self.pixel_size_um, pixel_size_um)
        if scale is not None:
            return scale
        deviations = self.deviations(describe_image(image, invert=invert, excluded=excluded))
        order = np.argsort(-np.abs(deviations), kind="stable")
        worst = [
            PROPERTIES[i].below if deviations[i] < 0 else PROPERTIES[i].above
            for i in order[:2]
            if abs(deviations[i]) > self.threshold
        ]
        if not worst:
            return None
        return (
            f"{UNLIKE}: this image has {' and '.join(worst)} than any of them, so check the "
            "map before you trust its areas."
        )


def scale_warning(trained_um: float | None, image_um: float | None) -> str | None:
    """Say that an image has another scale, in um a pixel, than the training images; None if not, or if not known."""
    if not trained_um or not image_um:
        return None
    factor = image_um / trained_um
    if 1 / SAME_SCALE <= factor <= SAME_SCALE:
        return None
    how, times = ("smaller", factor) if factor > 1 else ("larger", 1 / factor)
    return (
        f"Unlike the training images: structures appear {times:.2g} times {how} here (pixels of {image_um:.3g} µm; "
        f"in training {trained_um:.3g} µm), so rescale the image or check the map before you trust its areas."
    )


def _summary(table: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    spread = np.sqrt(table.var(axis=0, ddof=1) + FLOORS**2)
    return np.median(table, axis=0), spread, table.min(axis=0), table.max(axis=0)


def _tiles(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut what is looked at: the whole image, or tiles on a regular grid."""
    height, width = image.shape[:2]
    if height * width <= (_TILE_PX * _TILES) ** 2:
        return [image]
    rows, columns = (
        np.linspace(0, max(0, n - _TILE_PX), _TILES).astype(int).tolist() for n in (height, width)
    )
    return [image[y : y + _TILE_PX, x : x + _TILE_PX] for y in rows for x in columns]


def _range(darkest: Any, brightest: Any, dtype: np.dtype[Any]) -> float:
    """Grey values that a detector of the fewest fitting bits tells apart; NaN if nobody knows."""
    if darkest < 0:
        return float("nan")
    if dtype.kind == "f":
        return 1.0 if brightest <= 1 else float("nan")
    bits = next(b for b in (8, 10, 12, 14, 16, 32, 64) if int(brightest) < 2**b)
    return float(2**bits - 1)


def _noise(plane: Grey) -> Grey:
    """Second difference along both axes, scaled so that white noise keeps its standard deviation."""
    across = plane[:, :-2] - 2 * plane[:, 1:-1] + plane[:, 2:]
    both: Grey = (across[:-2] - 2 * across[1:-1] + across[2:]) / np.float32(6)
    return both


def _blocks(plane: NDArray[Any], side: int = 16) -> NDArray[Any]:
    """Cut a plane into blocks, shape (rows, side, columns, side); what is left over is dropped."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane[: rows * side, : columns * side].reshape(rows, side, columns, side)


def _whole(shown: Mask, side: int = 16) -> Mask:
    """Whether every pixel of a block counts, shape (rows, columns)."""
    return np.asarray(_blocks(shown, side).all(axis=(1, 3)))


def _octaves(plane: Grey, shown: Mask) -> Floats:
    """Mean square of the detail that each of three halvings takes away; NaN where too little counts."""
    power = []
    for _ in range(3):
        quads, shown = _blocks(plane, 2), _whole(shown, 2)
        half = quads.mean(axis=(1, 3))
        # The variance within 2 x 2 pixels, by its second moment.
        within = np.square(quads).mean(axis=(1, 3))[shown] - np.square(half)[shown]
        power.append(float(within.mean()) if within.size else np.nan)
        plane = half
    return np.maximum(power, 0.0)
