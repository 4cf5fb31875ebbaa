"""What a user may say about synthetic micrographs."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from phaseguide import option_values
from phaseguide.datasets.synthetic.recipes import RECIPES, check_recipe
from phaseguide.errors import DatasetError, PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import SUM_TOLERANCE
from phaseguide.settings import Settings, setting

LEAST_SIDE, MOST_SIDE = 64, 4096


class SyntheticSettings(Settings):
    """How synthetic micrographs look; `DatasetError` for what cannot be drawn."""

    error: ClassVar[type[PhaseguideError]] = DatasetError
    kind: ClassVar[str] = "option"

    recipe: Literal["dual-phase", "network", "laths", "spinodal", "coating"] = setting(
        "dual-phase", "Recipe", "The structure that is drawn."
    )
    phases: tuple[str, ...] = setting(
        (),
        "Phases",
        "Names of the phases in the order of their labels 1, 2, ... Default: those of the recipe.",
    )
    fractions: tuple[float, ...] = setting(
        (),
        "Fractions",
        "Area of each phase, shares in [0, 1] in the order of the labels, exact in every image. Default: those of the "
        "recipe.",
    )
    count: int = setting(20, "Images", "Number of images.", low=1, high=100_000)
    height: int = setting(
        512, "Height", "Rows, with the information bar.", low=LEAST_SIDE, high=MOST_SIDE, unit="px"
    )
    width: int = setting(512, "Width", "Columns.", low=LEAST_SIDE, high=MOST_SIDE, unit="px")
    seed: int = setting(
        0, "Seed", "Another seed draws other images.", low=option_values.SEED[0], high=option_values.SEED[1]
    )
    length_px: float = setting(
        32.0, "Length", "Grains, wavelength or waviness are about as large.", low=4, high=1000, unit="px"
    )
    contrast: float = setting(
        0.5,
        "Contrast",
        "From the darkest phase to the brightest, as a share of black to white.",
        low=0,
        high=1,
        step=0.05,
        decimals=2,
    )
    texture: float = setting(
        0.06,
        "Texture",
        "Standard deviation of the grey values within a phase, as a share of black to white.",
        low=0,
        high=0.5,
        step=0.01,
        decimals=2,
    )
    gradient: float = setting(
        0.15,
        "Etch gradient",
        "By how much one side is brighter than the other, in a direction of its own in every image.",
        low=0,
        high=1,
        step=0.05,
        decimals=2,
    )
    noise: float = setting(
        0.03,
        "Noise",
        "Standard deviation of the camera's noise, as a share of black to white.",
        low=0,
        high=0.5,
        step=0.01,
        decimals=2,
    )
    blur_px: float = setting(
        1.0,
        "Blur",
        "Standard deviation of the blur, under the noise.",
        low=0,
        high=20,
        step=0.5,
        decimals=1,
        unit="px",
    )
    bar_rows: int = setting(
        32, "Information bar", "Rows of the bar with the scale, label 255.", low=16, high=256, automatic=True,
        words={"0": "no bar"}, unit="px",
    )  # fmt: skip
    pixel_size_um: float = setting(
        0.1, "Pixel size", "Of the scale bar and the files.", low=1e-5, high=1000, decimals=4, unit="µm"
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        names = self.scheme.names
        check_recipe(self.recipe, len(names))
        given = f"{len(names)} phases ({', '.join(names)})"
        if not self.fractions and len(names) != len(RECIPES[self.recipe].shares):
            raise DatasetError(
                f"The recipe {self.recipe} has no usual fractions for {given}. Give a fraction of each."
            )
        if self.fractions and len(self.fractions) != len(names):
            raise DatasetError(f"There are {len(self.fractions)} fractions for {given}. Give one for each.")
        if self.fractions and (least := min(self.fractions)) < 0:
            raise DatasetError(f"The fraction {100 * least:g} % is below 0. Give areas from 0 to 100 %.")
        if self.fractions and abs(sum(self.fractions) - 1) > SUM_TOLERANCE:
            raise DatasetError(
                f"The fractions sum to {100 * sum(self.fractions):.6g} %. Give areas that sum to 100 %."
            )
        if self.bar_rows > self.height // 2:
            raise DatasetError(
                f"An information bar of {self.bar_rows} rows covers more than half of an image of {self.height} rows. "
                f"Give at most {self.height // 2} rows, or 0 for none."
            )
        return self

    @property
    def scheme(self) -> PhaseScheme:
        """The phases, those of the recipe where none are named."""
        return PhaseScheme.from_names(self.phases or RECIPES[self.recipe].phases)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each phase, together 1."""
        told = self.fractions or RECIPES[self.recipe].shares
        return tuple(share / sum(told) for share in told)
