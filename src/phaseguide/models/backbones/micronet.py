"""Encoders that NASA trained to tell micrographs apart: their names, and their download.

Source: J. Stuckner, B. Harder, T. M. Smith, Microstructure segmentation with deep learning encoders pre-trained on a
large microscopy dataset, npj Computational Materials 8, 200 (2022); names and addresses are those of the package
pretrained-microscopy-models. A file is the state dict of the classifier. No checksums are published, so the first
download's is kept beside the file.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_text
from phaseguide.files.download import Wanted, downloading, mirrored
from phaseguide.files.stamps import stamping
from phaseguide.files.text_files import read_text
from phaseguide.folders import user_model_folder
from phaseguide.option_values import IMAGE_MICRONET, MICRONET

MIRROR_VARIABLE = "PHASEGUIDE_MICRONET_MIRROR"
MOST_MEGABYTES = 1000
"""More than the largest of the files; their sizes are not published."""

_URL = "https://nasa-public-data.s3.amazonaws.com/microscopy_segmentation_models/"
_BOTH = (
    "densenet121", "densenet161", "densenet169", "densenet201", "dpn107", "dpn131", "dpn68", "dpn68b", "dpn92",
    "dpn98", "efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", "efficientnet-b4",
    "efficientnet-b5", "inceptionresnetv2", "inceptionv4", "mobilenet_v2", "resnet101", "resnet152", "resnet18",
    "resnet34", "resnet50", "resnext50_32x4d", "se_resnet101", "se_resnet152", "se_resnet50", "se_resnext101_32x4d",
    "se_resnext50_32x4d", "senet154", "vgg11_bn", "vgg13_bn", "vgg16_bn", "xception",
)  # fmt: skip

# vgg11 and vgg13 are offered for image-micronet too, but told only 2 % of the micrographs apart.
ENCODERS: dict[str, tuple[str, ...]] = {
    MICRONET: (*_BOTH, "resnext101_32x8d"),
    IMAGE_MICRONET: (*_BOTH, "efficientnet-b6", "efficientnet-b7"),
}
"""Encoders that there are weights of: trained on micrographs alone, or first on ImageNet and then on micrographs."""


def check_offered(encoder: str, weights: str) -> None:
    """Raise `ModelError` where NASA offers no such weights of an encoder."""
    if encoder not in ENCODERS[weights]:
        raise ModelError(
            f"There are no {weights} weights of encoder {encoder!r}; there are of "
            f"{', '.join(sorted(ENCODERS[weights]))}. Choose one of these with --encoder, or other weights."
        )


def url_of(encoder: str, weights: str) -> str:
    """Address of a file, as its authors name it."""
    if encoder == "resnext101_32x8d":
        return f"{_URL}resnext101_pretrained_microscopynet_v1.0.pth.tar"
    version = "1.1" if (encoder, weights) == ("resnet50", MICRONET) else "1.0"
    data = {MICRONET: "microscopynet", IMAGE_MICRONET: "imagenet-microscopynet"}[weights]
    return f"{_URL}{encoder}_pretrained_{data}_v{version}.pth.tar"


def encoders_folder() -> Path:
    """Folder of downloaded encoders, in that of the user's models."""
    return user_model_folder() / "encoders"


def fetching(encoder: str, weights: str) -> Iterator[Progress | Notice | Finished[Path]]:
    """Bring a file, unless it is on this computer; it may be stopped at any event and goes on later from there.

    Raises
    ------
    ModelError
        No such weights; a file that changed since it was downloaded; else as `phaseguide.files.download.downloading`.
    """
    check_offered(encoder, weights)
    url = url_of(encoder, weights)
    target = encoders_folder() / url.rpartition("/")[2]
    kept = target.with_name(f"{target.name}.sha256")
    if target.is_file():
        yield from _comparing(target, kept)
        yield Finished(target)
        return
    stamp = yield from downloading(
        Wanted(
            _address(url),
            target,
            "",
            MOST_MEGABYTES,
            again="the same command",
            elsewhere=f"{MIRROR_VARIABLE}, the address of a folder that offers it",
            by_hand=f"Offline: get {url} on another computer, and put it into {target.parent} under the same name, or "
            "give the file with --encoder-weights FILE.",
        )
    )
    write_text(kept, f"{stamp.sha256}  {target.name}\n")
    yield Notice(
        f"{target.name} ({stamp.bytes / 1e6:.0f} MB) is downloaded. No checksum of it is published; it has the length "
        f"that the server told, and its own, {stamp.sha256[:12]}..., is compared from now on."
    )
    yield Finished(target)


def _comparing(target: Path, kept: Path) -> Generator[Progress, None, None]:
    """Make sure that a file is what was downloaded; one that somebody put there has nothing to be compared with."""
    if not kept.is_file():
        return
    stamp = yield from stamping(target)
    known = read_text(kept).split(maxsplit=1)
    if known[:1] != [stamp.sha256]:
        raise ModelError(
            f"{target}: is not what was downloaded; its checksum is {stamp.sha256[:12]}... now. Delete it and "
            f"{kept.name}, and start again: it is downloaded anew."
        )


def _address(url: str) -> str:
    """Where to download from: the authors, or the mirror that the environment names."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return url
    address = mirrored(url, mirror)
    if address is None:
        raise ModelError(
            f"{MIRROR_VARIABLE} {mirror!r}: give the address of a folder, such as https://example.org/micronet/, that "
            f"offers {url.rpartition('/')[2]}."
        )
    return address
