"""What a user may say about a folder of images and annotations that its files leave open."""

from __future__ import annotations

from typing import ClassVar, Literal

from phaseguide.errors import DatasetError, PhaseguideError
from phaseguide.settings import Settings, setting

NO_BACKGROUND = "none"


class LayoutOptions(Settings):
    """How a folder is read; `DatasetError` for a value that cannot be meant."""

    error: ClassVar[type[PhaseguideError]] = DatasetError
    kind: ClassVar[str] = "option"

    phases: tuple[str, ...] = setting(
        (),
        "Phases",
        "Names of the phases, in the order of their labels 1, 2, ...; where annotations have other names, or others "
        "first. Default: as the layout has them.",
    )
    splits: tuple[str, ...] = setting(
        (), "Splits", "Only the images of these splits or folds. Default: all images."
    )
    colours: str = setting(
        "",
        "Colour table",
        "File that says which colour of a mask is which phase: CSV with columns colour and phase, or a scheme.json.",
    )
    unknown_colours: Literal["refuse", "nearest", "unclassified"] = setting(
        "refuse",
        "Colours that the table does not have",
        "refuse: the first mask with one is named, with its colours and what they are near. nearest: the phase of the "
        "nearest colour, told with its pixels. unclassified: label 0.",
    )
    background: str = setting(
        "background",
        "What no polygon covers",
        "The phase of pixels that no polygon covers, label 1; none leaves them unclassified.",
    )
    unnamed: str = setting(
        "",
        "Outlines without a phase",
        "The phase of outlines that carry no name of one. Default: such an outline is refused.",
    )
    unlabelled: Literal["refuse", "negative", "drop"] = setting(
        "refuse",
        "Images without any label",
        "refuse: the first is named. negative: with polygons, the whole image is background. drop: left out.",
    )
    bad_polygons: Literal["refuse", "repair", "drop"] = setting(
        "refuse",
        "Polygons that are not sound",
        "Those that leave the image, cross themselves or have fewer than three corners. refuse: the first is named "
        "with its file and line. repair: cut at the border, filled by the even-odd rule; without an area, left out. "
        "drop: left out. What was done is told.",
    )
    bar: Literal["exclude", "crop"] = setting(
        "exclude",
        "Information bars",
        "exclude: the image stays whole and the bar gets label 255. crop: its rows are cut off.",
    )
