"""ONNX Runtime in the place of torch: the same labels, or torch; one sentence wherever it cannot be used."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import DeviceError
from phaseguide.events import Finished, Notice
from phaseguide.models.card import InferenceCard, ViewCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.segmentation.network import fast_cpu
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.network.embeddings import MEMORY
from phaseguide.segmentation.network.graph_files import GraphFolder, usual_graph_folder
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from sam_files import offer_base
from sam_models import sam_model
from tiny_models import tiny_image, tiny_model

IMAGE = tiny_image(shape=(150, 200))
TWO_LOOKS = InferenceCard(views=[ViewCard(), ViewCard(zoom=1.5, flip="xy")], unsure_below=0.999)
installed = pytest.mark.skipif(
    any(fast_cpu.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="needs the extra fast-cpu",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path / "user"))
    MEMORY.clear()
    return usual_graph_folder().path


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return load_model(tiny_model(tmp_path))


class Fake:
    """Does what ONNX Runtime would, in torch."""

    name = "onnxruntime 0"

    def __init__(self, model: LoadedModel, wrong: bool = False, fails_after: int = 1000) -> None:
        self.model, self.wrong, self.left, self.released = model, wrong, fails_after, 0

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        if self.left == 0:
            raise fast_cpu.OnnxError("It broke. Torch is used.")
        self.left -= 1
        with torch.inference_mode():
            scores = self.model.segmenter(image)
        return scores.roll(1, 1) if self.wrong else scores

    def release(self, channels: int) -> None:
        self.released += 1


@pytest.fixture
def faked(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a `Fake` stand for ONNX Runtime, whether that is installed or not."""

    def put(**how: Any) -> Fake:
        fake = Fake(model, **how)
        monkeypatch.setattr(fast_cpu, "find_spec", lambda _: True)
        monkeypatch.setattr(fast_cpu, "export_graph", lambda *_: b"graph")
        monkeypatch.setattr(fast_cpu, "OnnxNetwork", lambda *_: fake)
        return fake

    return put


def run(session: Session, request: Request | None = None) -> tuple[Segmentation, list[str]]:
    events = list(session.segment(request or Request()))
    assert isinstance(events[-1], Finished)
    return events[-1].result, [event.message for event in events if isinstance(event, Notice)]


def by_torch(model: LoadedModel, **options: Any) -> Segmentation:
    MEMORY.clear()
    return run(Session(model, IMAGE, **options))[0]


@installed
@pytest.mark.parametrize("in_channels", [1, 3])
def test_labels_are_those_of_torch(in_channels: int, tmp_path: Path) -> None:
    """In tiles, in views that are turned and enlarged, and where the first look was unsure."""
    model = load_model(tiny_model(tmp_path, in_channels=in_channels))
    card = model.card.model_copy(update={"inference": TWO_LOOKS})
    model = dataclasses.replace(model, card=card)
    session = Session(model, IMAGE, runtime="onnx", tile=256, overlap=32)
    result, notices = run(session)
    assert not notices
    assert session.runtime.startswith("onnxruntime ")
    same = result.labels == by_torch(model, tile=256, overlap=32).labels
    assert same.mean() >= fast_cpu.AGREE


@installed
def test_a_graph_is_made_once_and_again_when_it_is_damaged(
    model: LoadedModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    export = fast_cpu.export_graph

    def count(*args: Any) -> bytes:
        made.append(1)
        return export(*args)

    monkeypatch.setattr(fast_cpu, "export_graph", count)

    def next_day() -> str:
        fast_cpu._made.clear()
        MEMORY.clear()
        session = Session(model, IMAGE, runtime="onnx")
        assert not run(session)[1]
        return session.runtime

    next_day(), next_day()
    assert len(made) == 1
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert next_day().startswith("onnxruntime") and len(made) == 2


@installed
def test_a_network_that_learned_gets_another_graph(model: LoadedModel, cache: Path) -> None:
    run(Session(model, IMAGE, runtime="onnx"))
    with torch.no_grad():
        model.segmenter.backbone.net.segmentation_head[0].bias += torch.tensor([5.0, 0.0, 0.0])
    result, notices = run(Session(model, IMAGE, runtime="onnx"))
    assert not notices and len(list(cache.iterdir())) == 2
    np.testing.assert_array_equal(result.labels, by_torch(model).labels)


def test_a_network_that_disagrees_is_not_used(model: LoadedModel, faked: Any) -> None:
    faked(wrong=True)
    session = Session(model, IMAGE, runtime="onnx")
    result, notices = run(session)
    assert session.runtime == "torch"
    assert len(notices) == 1 and "another phase than torch" in notices[0]
    np.testing.assert_array_equal(result.labels, by_torch(model).labels)


def test_one_that_breaks_on_the_way_hands_over_to_torch(model: LoadedModel, faked: Any) -> None:
    faked(fails_after=2)  # the comparison, and one tile
    image = tiny_image(shape=(256, 460))
    session = Session(model, image, runtime="onnx", tile=256, overlap=32)
    result, notices = run(session)
    assert notices == ["It broke. Torch is used."]
    MEMORY.clear()
    np.testing.assert_array_equal(result.labels, run(Session(model, image, tile=256, overlap=32))[0].labels)


def test_features_are_made_when_a_ratio_first_wants_them(model: LoadedModel, faked: Any) -> None:
    fake = faked()
    asked = Request(asked=np.array([0.2, 0.3, 0.5]), uncertainty=0.0, mode="conditioned")
    session = Session(model, IMAGE, runtime="onnx")
    run(session)
    left = fake.left
    assert session.runtime == "onnxruntime 0" and fake.released == 1
    result, _ = run(session, asked)
    assert fake.left == left
    MEMORY.clear()
    theirs = Session(model, IMAGE)
    run(theirs)
    np.testing.assert_array_equal(result.labels, run(theirs, asked)[0].labels)
    # What torch has the features of by now, it only decodes.
    again = Session(model, IMAGE, runtime="onnx")
    run(again)
    assert again.runtime == "torch" and fake.left == left


def test_an_export_that_fails_is_one_sentence(
    model: LoadedModel, faked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> bytes:
        raise RuntimeError("an operation\nthat nobody knows")

    faked()
    monkeypatch.setattr(fast_cpu, "export_graph", refuse)
    session = Session(model, IMAGE, runtime="onnx")
    _, notices = run(session)
    assert session.runtime == "torch"
    assert notices == [
        "ONNX Runtime cannot run this model here (an operation that nobody knows). Torch is used."
    ]


def test_a_cache_that_cannot_be_written_is_done_without(model: LoadedModel, faked: Any, cache: Path) -> None:
    faked()
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the place of the folder")
    session = Session(model, IMAGE, runtime="onnx")
    _, notices = run(session)
    assert session.runtime == "onnxruntime 0"
    assert len(notices) == 1 and str(cache) in notices[0]


def test_it_can_be_stopped_while_it_gets_ready(model: LoadedModel, faked: Any) -> None:
    fake = faked()
    session = Session(model, IMAGE, runtime="onnx")
    events = session.segment(Request())
    next(event for event in events if getattr(event, "stage", "") == fast_cpu.GETTING_FAST)
    events.close()
    assert fake.left == 1000
    run(session)
    assert session.runtime == "onnxruntime 0"


@pytest.mark.parametrize(
    ("wish", "said"), [("auto", ""), ("torch", ""), ("onnx", "onnx and onnxruntime are not installed: pip")]
)
def test_without_the_extra_only_who_asked_is_told(
    wish: str, said: str, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_cpu, "find_spec", lambda _: None)
    monkeypatch.setattr(fast_cpu, "SMALLEST_PX", 0)
    session = Session(model, IMAGE, runtime=wish)
    _, notices = run(session)
    assert session.runtime == "torch"
    assert len(notices) == bool(said) and said in "".join(notices)


def test_automatic_leaves_small_images_to_torch(
    model: LoadedModel, faked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked()
    small = Session(model, IMAGE, runtime="auto")
    run(small)
    assert small.runtime == "torch"
    monkeypatch.setattr(fast_cpu, "SMALLEST_PX", IMAGE.size)
    MEMORY.clear()
    large = Session(model, IMAGE, runtime="auto")
    run(large)
    assert large.runtime == "onnxruntime 0"


def test_embeddings_on_disk_are_torchs(model: LoadedModel, faked: Any, tmp_path: Path) -> None:
    faked()
    session = Session(model, IMAGE, runtime="onnx", embeddings=EmbeddingFolder(tmp_path / "kept"))
    _, notices = run(session)
    assert session.runtime == "torch" and "embeddings are kept on disk" in notices[0]


def test_segment_anything_stays_with_torch(
    faked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked()
    base = offer_base(monkeypatch, tmp_path)
    session = Session(load_model(sam_model(tmp_path, base)), IMAGE, runtime="onnx")
    _, notices = run(session)
    assert session.runtime == "torch" and "Segment Anything" in notices[0]


def test_an_unknown_runtime_is_refused(model: LoadedModel) -> None:
    with pytest.raises(DeviceError, match="Unknown runtime 'tensorrt'"):
        Session(model, IMAGE, runtime="tensorrt")


def test_graphs_keep_to_their_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.segmentation.network import graph_files

    monkeypatch.setattr(graph_files, "LIMIT", 2000)
    folder = GraphFolder(tmp_path / "graphs")
    for key in "abc":
        folder.write(key, key.encode() * 900)
        folder.read("a")
    assert folder.read("a") and folder.read("c") and folder.read("b") is None
    folder.write("d", b"d" * 5000)
    assert [path.name for path in folder.path.iterdir()] == ["d.graph"]


@installed
def test_results_of_the_shipped_model() -> None:
    from phaseguide.models.zoo import open_model

    model = open_model("uhcs")
    image = tiny_image(shape=(256, 320))
    session = Session(model, image, runtime="onnx")
    ours = run_to_end(session.segment(Request())).labels
    assert session.runtime.startswith("onnxruntime")
    MEMORY.clear()
    theirs = run_to_end(Session(model, image).segment(Request())).labels
    assert (ours == theirs).mean() >= fast_cpu.AGREE
