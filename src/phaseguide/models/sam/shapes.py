"""Sizes of Segment Anything, and the official files of their weights; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from phaseguide.errors import ModelError

PATCH = 16
"""Pixels of the image to a side of one token."""

OUT_CHANNELS = 256
"""Channels of the encoder's output in the official models."""

_URL = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True)
class SamShape:
    """Shape of a Segment Anything model: channels of a token, blocks, attention heads of a block.

    ``global_blocks`` attend to the whole image, the others in windows of 14 x 14 tokens. ``grid`` tokens lie along a
    side of the image that the position embedding was made for; ``out_channels`` are also those of the decoder.
    """

    name: str
    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    grid: int = 64
    out_channels: int = OUT_CHANNELS

    @property
    def image_side(self) -> int:
        """Side of the image that the position embedding was made for, px."""
        return self.grid * PATCH


SHAPES: dict[str, SamShape] = {
    "vit_b": SamShape("vit_b", 768, 12, 12, (2, 5, 8, 11)),
    "vit_l": SamShape("vit_l", 1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": SamShape("vit_h", 1280, 32, 16, (7, 15, 23, 31)),
    # The official architecture in small; there are no official weights for it. For tests and quick benchmarks.
    "vit_tiny": SamShape("vit_tiny", 64, 2, 4, (1,), grid=16, out_channels=32),
}


@dataclass(frozen=True)
class OfficialFile:
    """A file of official weights (Apache-2.0, Kirillov et al., Segment Anything, ICCV 2023); megabytes are about."""

    name: str
    sha256: str
    megabytes: int

    @property
    def url(self) -> str:
        """Where the authors offer it."""
        return _URL + self.name


OFFICIAL: dict[str, OfficialFile] = {
    "vit_b": OfficialFile(
        "sam_vit_b_01ec64.pth", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 375
    ),
    "vit_l": OfficialFile(
        "sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1250
    ),
    "vit_h": OfficialFile(
        "sam_vit_h_4b8939.pth", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 2565
    ),
}


def find_shape(name: str) -> SamShape:
    """Return a shape by its name, or raise `ModelError`."""
    if name not in SHAPES:
        raise ModelError(
            f"There is no Segment Anything encoder {name!r}. Choose one of {', '.join(OFFICIAL)}."
        )
    return SHAPES[name]


def official_file(size: str) -> OfficialFile:
    """Return the official file of a size; `ModelError` if there is none."""
    if size not in OFFICIAL:
        raise ModelError(f"There are no official weights {size!r}. Choose one of {', '.join(OFFICIAL)}.")
    return OFFICIAL[size]


def size_of_checksum(sha256: str) -> str | None:
    """Size whose official file has a checksum; None where no official file has it."""
    return next((size for size, official in OFFICIAL.items() if official.sha256 == sha256), None)
