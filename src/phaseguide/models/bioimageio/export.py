"""Export to bioimage.io (model description 0.5): the network without a ratio, as TorchScript with test arrays.

What the format cannot say stays behind, and the package's documentation says so: the ratio and everything
that acts by it, the average over views, the calibration of the scores, manual edits. The library
`bioimageio.spec <https://github.com/bioimage-io/spec-bioimage-io>`_ (extra ``bioimageio``) writes the
package, and reads it back as a check.
"""

from __future__ import annotations

import copy
import importlib
import json
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ModelError
from phaseguide.files.new_file import creating
from phaseguide.models.bioimageio.description import (
    CLIP,
    EPSILON,
    HIGH,
    LOW,
    PackageText,
    describe,
)
from phaseguide.models.bioimageio.texts import FEWEST_STRIDES, cover_image, documentation
from phaseguide.models.summary import without_folders

if TYPE_CHECKING:
    from torch import nn

    from phaseguide.models.card import Card
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.models.segmenter import GuidedSegmenter

TEST_SIDE = 256
_SAME = 1e-4


def normalise_as_described(image: NDArray[Any]) -> NDArray[np.float32]:
    """Do what the package's preprocessing says: scale_range, scale_linear, clip.

    Equals `phaseguide.models.segmenter.normalise_image`, except that the percentiles are those of all
    pixels, where that function takes a regular sample of an image of 2048 px or more a side. The image, of shape
    (..., C, H, W), is finite and normalised jointly.
    """
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, (LOW, HIGH))
    scaled = (pixels - np.float32(low)) / np.float32(high - low + EPSILON)
    normalised: NDArray[np.float32] = np.clip(scaled * 2 - 1, -CLIP, CLIP).astype(np.float32)
    return normalised


def trace_unguided(segmenter: GuidedSegmenter) -> Any:
    """Trace a copy of the network without a ratio: normalised image (B, C, H, W) to probabilities (B, K, H, W).

    Sides are multiples of the backbone's stride (mostly 32 px), from two of it. Raises `ModelError` where it cannot be
    traced, or for one size only.
    """
    import torch

    refuse_sam(segmenter.backbone.options.architecture)
    network = _unguided(copy.deepcopy(segmenter).to("cpu").float().eval())
    generator = torch.Generator().manual_seed(0)
    stride = segmenter.backbone.stride
    example, other = (
        torch.rand((1, segmenter.in_channels, rows * stride, columns * stride), generator=generator) * 2 - 1
        for rows, columns in ((4, 4), (FEWEST_STRIDES, 5))
    )
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        # Sizes become constants of the trace, which is what the comparison at another size is for.
        warnings.simplefilter("ignore")
        try:
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            apart = max(float((traced(x) - network(x)).abs().max()) for x in (example, other))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(
                f"The network of this model cannot be written as TorchScript, which bioimage.io needs "
                f"({str(error).strip().splitlines()[0][:200]}). Share it as a Phase Guide model file instead."
            ) from error
    if not apart < _SAME:
        raise ModelError(
            "The network of this model works differently for every image size, and bioimage.io takes one "
            "network for all. Share it as a Phase Guide model file instead."
        )
    return traced


def refuse_sam(architecture: str) -> None:
    """Refuse what cannot be written as TorchScript for images of any size.

    Raises
    ------
    ModelError
        A model of Segment Anything, merged or not: its position embedding is fitted to each image.
    """
    from phaseguide.models.architectures import SAM

    if architecture == SAM:
        raise ModelError(
            "Models of Segment Anything cannot be written for bioimage.io: their network is another one for every "
            "size of image. Share it as a Phase Guide model file instead; merged, it needs no base weights."
        )


def example_image(card: Card) -> tuple[NDArray[Any], str]:
    """Return the `example_sample` of a model's phases in the model's channels, grey repeated, and what it is called."""
    from phaseguide.datasets.samples import example_sample

    sample, channels = example_sample(card.scheme), card.backbone.in_channels
    pixels = sample.image if channels == 1 else np.repeat(sample.image[..., None], channels, axis=-1)
    return pixels, f"{sample.name}, a sample of Phase Guide"


def export_bioimageio(
    model: LoadedModel, target: Path, text: PackageText, image: NDArray[Any], image_name: str
) -> Path:
    """Write a package for bioimage.io, a new ``.zip``, make sure that it loads, and return its path.

    The middle of the image, at most 256 px a side, in the model's channels, becomes test input and cover; its name
    stands in the documentation.

    Raises
    ------
    ModelError
        The library is missing; the model or what is said about it does not fit the format; there is a
        file of that name.
    PhaseguideError
        The file cannot be written.
    """
    import torch

    refuse_sam(model.card.backbone.architecture)
    spec, v0_5 = _library()
    text = _settle(model.card, text, v0_5)
    pixels = _test_pixels(model, image, image_name)
    traced = trace_unguided(model.segmenter)
    with torch.no_grad():
        output = traced(torch.from_numpy(normalise_as_described(pixels))).numpy()
    target = target if target.suffix == ".zip" else target.with_name(target.name + ".zip")
    with tempfile.TemporaryDirectory(prefix="phaseguide-") as name:
        folder = Path(name)
        with warnings.catch_warnings():
            # torch would rather have torch.export, whose files the format of bioimage.io does not take.
            warnings.simplefilter("ignore", FutureWarning)
            torch.jit.save(traced, str(folder / "weights.pt"))
        np.save(folder / "test_input.npy", pixels)
        np.save(folder / "test_output.npy", output)
        (folder / "card.json").write_text(_card_text(model.card), encoding="utf-8")
        (folder / "README.md").write_text(
            documentation(
                model.card, text.licence, text.citation, image_name, model.segmenter.backbone.stride
            ),
            encoding="utf-8",
        )
        cover_image(pixels[0], output[0], model.card.scheme).save(folder / "cover.png", optimize=True)
        package = folder / "package.zip"
        _write_package(model, text, folder, package, spec, v0_5)
        with creating(target) as part:
            shutil.copyfile(package, part)
    return target


def _unguided(segmenter: GuidedSegmenter) -> nn.Module:
    from torch import Tensor, nn

    class Unguided(nn.Module):
        """Encoder, decoder and head, without padding, since the format promises sides that need none."""

        def __init__(self) -> None:
            super().__init__()
            self.net: Any = segmenter.backbone.net

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.net.segmentation_head(self.net.decoder(list(self.net.encoder(image))))
            return logits.softmax(1)

    return Unguided().eval()


def _library() -> tuple[Any, Any]:
    try:
        spec = importlib.import_module("bioimageio.spec")
        return spec, importlib.import_module("bioimageio.spec.model.v0_5")
    except ImportError as error:
        raise ModelError(
            "Export to bioimage.io needs the library bioimageio.spec. Install it with: "
            "pip install 'napari-phaseguide[bioimageio]'"
        ) from error


def _settle(card: Card, text: PackageText, v0_5: Any) -> PackageText:
    """Fill what the card knows, and refuse what the format does not take."""
    from pydantic import TypeAdapter, ValidationError

    authors = tuple(a.strip().replace("/", "-") for a in text.authors if a.strip())
    if not authors:
        raise ModelError(
            f"Model {card.name!r}: say who made it; bioimage.io takes no model without an author."
        )
    licence = text.licence.strip() or re.split(r"[;,\s]", card.model_licence.strip(), maxsplit=1)[0]
    try:
        TypeAdapter(v0_5.LicenseId).validate_python(licence)
    except ValidationError as error:
        said = f"{licence!r} is none" if licence else "this model names none"
        raise ModelError(
            f"Model {card.name!r}: bioimage.io needs an SPDX licence such as BSD-3-Clause or CC-BY-4.0, and {said}."
        ) from error
    return PackageText(authors, licence, text.citation.strip() or card.citation.strip())


def _test_pixels(model: LoadedModel, image: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Cut the middle out of an image, shape (1, C, h, w), sides multiples of the network's stride."""
    stride = model.segmenter.backbone.stride
    channels = model.segmenter.in_channels
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    if planes.ndim != 3 or len(planes) != channels:
        raise ModelError(
            f"{name}: shape {image.shape}, but model {model.card.name!r} takes {channels} channels."
        )
    height, width = (
        min(max(TEST_SIDE, FEWEST_STRIDES * stride), side // stride * stride) for side in planes.shape[1:]
    )
    if min(height, width) < FEWEST_STRIDES * stride:
        raise ModelError(
            f"{name}: {planes.shape[1]} x {planes.shape[2]} px is too small for a test image; take one of at "
            f"least {FEWEST_STRIDES * stride} px a side."
        )
    top, left = (planes.shape[1] - height) // 2, (planes.shape[2] - width) // 2
    cut = np.array(planes[None, :, top : top + height, left : left + width], dtype=np.float32)
    if not np.isfinite(cut).all() or cut.max() == cut.min():
        raise ModelError(
            f"{name}: its middle is constant or not finite, so it tests nothing. Take another image."
        )
    return cut


def _card_text(card: Card) -> str:
    return json.dumps(without_folders(card.model_dump()), indent=1, ensure_ascii=False) + "\n"


def _write_package(
    model: LoadedModel, text: PackageText, folder: Path, package: Path, spec: Any, v0_5: Any
) -> None:
    from pydantic import ValidationError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # recommendations; what is wrong raises
            spec.save_bioimageio_package(
                describe(model.card, text, folder, model.segmenter.backbone.stride, v0_5), output_path=package
            )
            loaded = spec.load_model_description(package, format_version="latest")
    except (ValidationError, ValueError) as error:
        raise ModelError(
            f"Model {model.card.name!r} does not fit the format of bioimage.io: {str(error)[:400]} "
            "Share it as a Phase Guide model file instead."
        ) from error
    assert loaded.validation_summary.status != "failed"
