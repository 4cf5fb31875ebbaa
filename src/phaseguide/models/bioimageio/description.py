"""The model description of bioimage.io, format 0.5: tensors, preprocessing, weights, licence, citation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.models.bioimageio.texts import FEWEST_STRIDES, find_dois, plain_name
from phaseguide.models.card import Card

LOW, HIGH, CLIP = 0.5, 99.5, 1.5
EPSILON = 1e-12


@dataclass(frozen=True)
class PackageText:
    """What a package of bioimage.io says beside what the card knows: at least one author.

    The licence is an SPDX identifier; empty takes the one that the card's begins with. A citation has a DOI or the
    address of a page; empty takes the card's.
    """

    authors: tuple[str, ...]
    licence: str = ""
    citation: str = ""


def describe(card: Card, text: PackageText, folder: Path, stride: int, v0_5: Any) -> Any:
    """Return the ``ModelDescr`` of a model whose sides are multiples of a stride, made with
    ``bioimageio.spec.model.v0_5``.

    The folder holds weights.pt, test_input.npy, test_output.npy, README.md, cover.png and card.json.
    """
    import torch

    import phaseguide

    def file(name: str) -> Any:
        return v0_5.FileDescr(source=folder / name)

    return v0_5.ModelDescr(
        name=plain_name(card.name),
        description=(card.description or f"Segments {', '.join(card.scheme.names)}.")[:500],
        authors=[v0_5.Author(name=author) for author in text.authors],
        cite=[v0_5.CiteEntry(text=text.citation, doi=v0_5.Doi(doi)) for doi in find_dois(text.citation)],
        license=v0_5.LicenseId(text.licence),
        documentation=file("README.md"),
        covers=[file("cover.png")],
        attachments=[file("card.json")],
        tags=["segmentation", "semantic-segmentation", "2d", "pytorch", "materials", "metallography"],
        inputs=[_input(card, file("test_input.npy"), stride, v0_5)],
        outputs=[_output(card, file("test_output.npy"), v0_5)],
        weights=v0_5.WeightsDescr(
            torchscript=v0_5.TorchscriptWeightsDescr(
                source=folder / "weights.pt",
                pytorch_version=v0_5.Version(torch.__version__.partition("+")[0]),
                comment="Traced without a ratio by Phase Guide, softmax included.",
            )
        ),
        config=v0_5.Config(
            phaseguide={"version": phaseguide.__version__, "phases": card.scheme.to_dict()["phases"]}
        ),
    )


def _input(card: Card, test: Any, stride: int, v0_5: Any) -> Any:
    jointly = [v0_5.AxisId(axis) for axis in ("channel", "y", "x")]
    channels = card.backbone.in_channels
    names = {1: ["grey"], 3: ["red", "green", "blue"]}.get(
        channels, [f"channel{i + 1}" for i in range(channels)]
    )
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId("image"),
        description="Micrograph with its raw grey values.",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=names),
            *(
                v0_5.SpaceInputAxis(
                    id=v0_5.AxisId(axis),
                    size=v0_5.ParameterizedSize(min=FEWEST_STRIDES * stride, step=stride),
                    **_scale(card),
                )
                for axis in ("y", "x")
            ),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        test_tensor=test,
        preprocessing=[
            v0_5.ScaleRangeDescr(
                kwargs=v0_5.ScaleRangeKwargs(
                    axes=jointly, min_percentile=LOW, max_percentile=HIGH, eps=EPSILON
                )
            ),
            v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(gain=2.0, offset=-1.0)),
            v0_5.ClipDescr(kwargs=v0_5.ClipKwargs(min=-CLIP, max=CLIP)),
        ],
    )


def _output(card: Card, test: Any, v0_5: Any) -> Any:
    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId("probabilities"),
        description="Probability of each phase, without a ratio.",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=list(card.scheme.names)),
            *(
                v0_5.SpaceOutputAxis(
                    id=v0_5.AxisId(axis),
                    size=v0_5.SizeReference(tensor_id=v0_5.TensorId("image"), axis_id=v0_5.AxisId(axis)),
                    **_scale(card),
                )
                for axis in ("y", "x")
            ),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=test,
    )


def _scale(card: Card) -> dict[str, Any]:
    pixel = card.input.pixel_size_um
    return {} if pixel is None else {"unit": "micrometer", "scale": pixel}
