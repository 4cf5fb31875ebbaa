"""Packages for bioimage.io: they load, and their network is ours without a ratio."""

from __future__ import annotations

import html
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from phaseguide.datasets.samples import open_sample
from phaseguide.errors import ModelError
from phaseguide.models.architectures import ARCHITECTURES, FINE
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.bioimageio.description import PackageText
from phaseguide.models.bioimageio.export import (
    example_image,
    export_bioimageio,
    normalise_as_described,
    trace_unguided,
)
from phaseguide.models.bioimageio.texts import as_markdown, documentation, find_dois, plain_name
from phaseguide.models.model_file import LoadedModel, load_model, read_card
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, normalise_image
from phaseguide.models.zoo import open_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import tiny_image, tiny_model

TEXT = PackageText(("Ada Metallographer", "B. Ainite"), "CC-BY-4.0", "Steel 2020, doi 10.1000/xyz-1.")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models")))


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(0))
    return e / e.sum(0)


def unpacked(package: Path, folder: Path) -> Path:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", ["tiny", "uhcs"])
def test_the_package_loads_and_gives_the_scores_of_our_session(
    name: str, model: LoadedModel, tmp_path: Path
) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    chosen = model if name == "tiny" else open_model("uhcs")
    image, image_name = example_image(chosen.card)
    package = export_bioimageio(chosen, tmp_path / "package", TEXT, image, image_name)
    assert package == tmp_path / "package.zip"
    described = spec.load_model_description(package)
    assert described.validation_summary.status in ("valid-format", "passed")
    assert described.format_version.startswith("0.5")
    assert [a.name for a in described.authors] == list(TEXT.authors)
    assert str(described.license) == "CC-BY-4.0"
    assert [str(c.doi) for c in described.cite] == ["10.1000/xyz-1"]
    assert list(described.outputs[0].axes[1].channel_names) == list(chosen.card.scheme.names)

    files = unpacked(package, tmp_path / "files")
    pixels, expected = np.load(files / "test_input.npy"), np.load(files / "test_output.npy")
    middle = image[(image.shape[0] - 256) // 2 :, (image.shape[1] - 256) // 2 :][:256, :256]
    assert np.array_equal(pixels, middle[None, None].astype(np.float32))
    network = torch.jit.load(files / "weights.pt")
    with torch.no_grad():
        ours = network(torch.from_numpy(described_preprocessing(described, pixels))).numpy()
    assert ours == pytest.approx(expected, abs=1e-4)
    session = Session(chosen, middle, flips=False, device="cpu")
    run_to_end(session.segment(Request()))
    assert session.scores is not None
    assert np.abs(ours[0] - softmax(session.scores)).max() < 1e-4
    # Another size, as another program may choose it, batches included.
    wide = image[:96, :320]
    session = Session(chosen, wide, flips=False, device="cpu")
    run_to_end(session.segment(Request()))
    assert session.scores is not None
    twice = np.repeat(described_preprocessing(described, wide[None, None].astype(np.float32)), 2, axis=0)
    with torch.no_grad():
        assert np.abs(network(torch.from_numpy(twice)).numpy() - softmax(session.scores)).max() < 1e-4


def described_preprocessing(described: object, pixels: np.ndarray) -> np.ndarray:
    """What another program makes of the description, by the definitions of bioimage.io."""
    values = pixels.astype(np.float32)
    for step in described.inputs[0].preprocessing:  # type: ignore[attr-defined]
        kwargs = step.kwargs
        if step.id == "scale_range":
            assert {str(a) for a in kwargs.axes} == {"channel", "y", "x"}
            low, high = np.percentile(values, (kwargs.min_percentile, kwargs.max_percentile))
            values = (values - low) / (high - low + kwargs.eps)
        elif step.id == "scale_linear":
            values = values * kwargs.gain + kwargs.offset
        elif step.id == "clip":
            values = np.clip(values, kwargs.min, kwargs.max)
        else:
            assert step.id == "ensure_dtype"
    return values.astype(np.float32)


def test_texts_of_a_card_are_plain_text_in_markdown(model: LoadedModel) -> None:
    markdown = pytest.importorskip("markdown_it")
    hostile = "a|b [x](http://e.org) <img src=x> `c` **d** _e_ # f\n\n- g ![h](i) ~~j~~ &lt; \\k\n| 1. l"
    plain = " ".join(hostile.split())
    card = model.card
    phases = [{**phase, "name": f"{phase['name']} [hard] {plain}"} for phase in card.phases]
    card = card.model_copy(
        update={
            "name": hostile,
            "description": f"{hostile}",
            "phases": phases,
            "scores": {hostile: hostile},
            "training": {"parent": hostile},
            "data_licence": hostile,
        }
    )
    text = documentation(card, "MIT", hostile, hostile, 32)
    page = markdown.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    for tag in ("<a ", "<img", "<h1>a|b</h1>", "<s>"):
        assert tag not in page
    assert page.count("<h1>") == 1 and page.count("<tr>") == len(phases) + 1
    shown = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert shown.count(plain) == 8 + len(phases)
    assert all(f"{phase['name']}" in shown for phase in phases)


@pytest.mark.parametrize("start", ["- x", "+ x", "1. x", "2) x", "= x", "# x", "> x"])
def test_no_text_begins_a_list_or_a_heading(start: str) -> None:
    markdown = pytest.importorskip("markdown_it")
    page = markdown.MarkdownIt("commonmark").render(as_markdown(start))
    assert html.unescape(page) == f"<p>{start}</p>\n"


def test_documentation_says_what_differs_and_cover_shows_it(model: LoadedModel, tmp_path: Path) -> None:
    pytest.importorskip("bioimageio.spec")
    package = export_bioimageio(model, tmp_path / "p.zip", TEXT, tiny_image(shape=(130, 200)), "field 7")
    files = unpacked(package, tmp_path / "files")
    text = (files / "README.md").read_text(encoding="utf-8")
    for words in (
        "No ratio",
        "No average over views",
        "No calibration",
        "field 7",
        "CC-BY-4.0",
        "10.1000/xyz-1",
    ):
        assert words in text
    assert re.search(r"^## Validation", text, re.M)
    assert all(phase in text for phase in model.card.scheme.names)
    with Image.open(files / "cover.png") as cover:
        assert cover.size == (256, 128) and (files / "cover.png").stat().st_size < 500_000
        pair = np.asarray(cover.convert("RGB")).astype(int)
    assert np.ptp(pair[:, :128], axis=-1).max() == 0, "the left half is the grey image"
    assert np.ptp(pair[:, 128:], axis=-1).max() > 20, "the right half has the colours of the phases"
    assert "Widmanstätten" in (files / "card.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "dtype_image",
    [tiny_image(), tiny_image().astype(np.uint16) * 257, tiny_image().astype(np.float32) / 1e7],
    ids=["uint8", "uint16", "small floats"],
)
def test_the_described_preprocessing_is_ours(dtype_image: np.ndarray) -> None:
    ours = normalise_image(dtype_image)
    assert normalise_as_described(dtype_image[None]) == pytest.approx(ours, abs=1e-5)
    colour = np.stack(
        [dtype_image, dtype_image // 2 if dtype_image.dtype != np.float32 else dtype_image / 2], -1
    )
    assert normalise_as_described(np.moveaxis(colour, -1, 0)) == pytest.approx(
        normalise_image(colour), abs=1e-5
    )


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, FINE])
def test_every_architecture_can_be_traced_and_stays_as_it_was(architecture: str) -> None:
    torch.manual_seed(0)
    options = BackboneOptions(architecture, "tu-tf_efficientnet_lite0", 3)
    segmenter = GuidedSegmenter(options, GuidanceOptions("none"), PhaseScheme.from_names(["a", "b"])).eval()
    before = {name: t.clone() for name, t in segmenter.state_dict().items()}
    traced = trace_unguided(segmenter)
    image = torch.rand(1, 3, 192, 64) * 2 - 1
    with torch.no_grad():
        assert (traced(image) - segmenter(image).softmax(1)).abs().max() < 1e-5
    assert all(torch.equal(t, before[name]) for name, t in segmenter.state_dict().items())


class BakedIn(nn.Module):
    """Depends on the width of the image through a Python number, which a trace makes a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(int(x.shape[-1]))


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("tail", "match"), [(BakedIn(), "every image size"), (Untraceable(), "cannot be written as TorchScript")]
)
def test_networks_that_do_not_fit_are_refused(
    tail: nn.Module, match: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("bioimageio.spec")
    model = load_model(tiny_model(tmp_path))
    net = model.segmenter.backbone.net
    net.segmentation_head = nn.Sequential(net.segmentation_head, tail)
    target = tmp_path / "p.zip"
    with pytest.raises(ModelError, match=f"{match}.*Phase Guide model file"):
        export_bioimageio(model, target, TEXT, tiny_image(), "x")
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "image", "match"),
    [
        (PackageText((" ",), "MIT"), tiny_image(), "who made it"),
        (PackageText(("A",)), tiny_image(), "names none"),
        (PackageText(("A",), "my own"), tiny_image(), "'my own' is none"),
        (TEXT, tiny_image(shape=(40, 200)), "40 x 200 px is too small"),
        (TEXT, np.zeros((128, 128), np.uint8), "constant"),
        (TEXT, np.full((128, 128), np.nan, np.float32), "not finite"),
        (TEXT, np.zeros((128, 128, 3), np.uint8), "1 channels"),
    ],
)
def test_what_the_format_does_not_take_is_refused(
    model: LoadedModel, tmp_path: Path, text: PackageText, image: np.ndarray, match: str
) -> None:
    pytest.importorskip("bioimageio.spec")
    with pytest.raises(ModelError, match=match):
        export_bioimageio(model, tmp_path / "p.zip", text, image, "field 7")
    assert not list(tmp_path.iterdir())


def test_a_package_is_never_written_over(model: LoadedModel, tmp_path: Path) -> None:
    pytest.importorskip("bioimageio.spec")
    there = tmp_path / "p.zip"
    there.write_bytes(b"precious")
    with pytest.raises(ModelError, match=r"p\.zip: there is a file of that name"):
        export_bioimageio(model, there, TEXT, tiny_image(), "x")
    assert there.read_bytes() == b"precious"


def test_without_the_library_the_message_says_how_to_get_it(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(ModelError, match=r"pip install 'napari-phaseguide\[bioimageio\]'"):
        export_bioimageio(model, tmp_path / "p.zip", TEXT, tiny_image(), "x")


def test_the_licence_is_what_the_card_begins_with(tmp_path: Path) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    shipped = open_model("uhcs")
    package = export_bioimageio(
        shipped, tmp_path / "p.zip", PackageText(("A",)), *example_image(shipped.card)
    )
    described = spec.load_model_description(package)
    assert (
        str(described.license) == "BSD-3-Clause" and str(described.cite[0].doi) == "10.1017/S1431927618015635"
    )


def test_names_and_dois() -> None:
    assert plain_name("Stähle / TRIP: 3") == "Phase segmentation St-hle - TRIP- 3"
    assert len(plain_name("x" * 200)) <= 64
    assert find_dois("A (doi:10.1000/a.b-c), https://doi.org/10.1000/a.b-c; B 10.5/no, hdl 11256/964") == [
        "10.1000/a.b-c"
    ]


def test_the_example_has_the_phases_of_the_model(tmp_path: Path) -> None:
    image, name = example_image(open_model("uhcs").card)
    assert image.ndim == 2 and name.startswith("uhcs0220")
    sample = open_sample("spot2_0d_0")
    image, name = example_image(read_card(tiny_model(tmp_path, names=sample.scheme.names)))
    assert np.array_equal(image[..., 0] if image.ndim == 3 else image, sample.image)
    assert name.startswith("spot2_0d_0")
    assert example_image(read_card(tiny_model(tmp_path, names=("x", "y"))))[1].startswith("uhcs0220")
