"""Guidance: published parameter counts, the bypass, response to the ratio, every ablation."""

from __future__ import annotations

import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models.guidance import GUIDANCE, build_guidance
from phaseguide.models.guidance.ccrm import magnitude
from phaseguide.models.guidance.plm import PhaseLearningModule

ABLATIONS = {
    "RE": {"use_spatial_attention": False, "use_feature_aggregation": False},
    "SA": {"use_ratio_encoder": False, "use_feature_aggregation": False},
    "SA+FA": {"use_ratio_encoder": False},
    "RE+SA": {"use_feature_aggregation": False},
    "RE+SA+FA": {},
}
KINDS = [
    ("additive", {}),
    ("spatial", {"width": 8}),
    ("spatial", {"width": 8, "coordinates": False}),
    ("ccrm", {}),
    ("ccrm", {"coordinates": False}),
    ("ccrm", {"use_gate": False}),
    ("plm", {"coordinates": False}),
    *[("plm", options) for options in ABLATIONS.values()],
]


def count_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def parts(module: torch.nn.Module, name: str) -> int:
    return count_parameters(getattr(module, name))


def test_plm_has_the_published_parameter_counts() -> None:
    plm = PhaseLearningModule(256, 3, width=256)
    assert parts(plm, "ratio_encoder") == 33_536
    assert parts(plm, "spatial_attention") == 21_504
    assert [count_parameters(conv) for conv in plm.spatial_attention or []] == [7_168] * 3
    assert parts(plm, "feature_encoder") == 256 * 3 + 3
    assert parts(plm, "project") == 1_179_904
    assert plm.gamma.item() == 1 and plm.delta.item() == 0


def test_ccrm_is_small() -> None:
    assert count_parameters(build_guidance("ccrm", 320, 4)) < 0.02 * 4_700_000


@pytest.mark.parametrize(("kind", "options"), [("none", {}), *KINDS])
def test_no_ratio_leaves_features_untouched(kind: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    module = build_guidance(kind, 16, 3, {**options, **({"width": 8} if kind == "plm" else {})})
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.3)
    features = torch.randn(3, 16, 5, 7)
    assert module(features, None) is features
    rows = torch.tensor([[0.2, 0.3, 0.5], [torch.nan] * 3, [0.6, 0.3, 0.1]])
    mixed = module(features, rows)
    assert torch.equal(mixed[1], features[1])
    alone = module(features[:1], rows[:1])
    assert torch.allclose(mixed[0], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_start_keeps_pretrained_features_and_gradient_reaches_the_strength(
    kind: str, options: dict[str, object]
) -> None:
    torch.manual_seed(0)
    module = build_guidance(kind, 16, 3, {**options, **({"width": 8} if kind == "plm" else {})})
    features = torch.randn(2, 16, 4, 4)
    ratio = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    out = module(features, ratio)
    assert torch.allclose(out, features, atol=1e-6)
    (out * torch.randn_like(out)).sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_another_ratio_changes_the_features(kind: str, options: dict[str, object]) -> None:
    torch.manual_seed(1)
    module = build_guidance(kind, 16, 3, {**options, **({"width": 8} if kind == "plm" else {})})
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.5)
    features = torch.randn(1, 16, 4, 4)
    a = module(features, torch.tensor([[0.1, 0.2, 0.7]]))
    b = module(features, torch.tensor([[0.7, 0.2, 0.1]]))
    assert float((a - b).detach().abs().max()) > 1e-3


def test_class_ratio_maps_sum_to_one_and_follow_the_ratio() -> None:
    """Without a gate, and with one channel a phase, what is added to the features are the maps less the evidence."""
    torch.manual_seed(0)
    module = GUIDANCE["ccrm"](3, 3, use_gate=False, delta=1.0)
    with torch.no_grad():
        module.embed.weight.copy_(torch.eye(3)[:, :, None, None])  # type: ignore[operator, union-attr]
    features = torch.randn(1, 3, 6, 6)
    size = magnitude(features)
    low = (module(features, torch.tensor([[0.05, 0.45, 0.5]])) - features) / size
    high = (module(features, torch.tensor([[0.9, 0.05, 0.05]])) - features) / size
    assert torch.allclose(low.sum(1), torch.zeros(1, 6, 6), atol=1e-5), "both sum to 1 over the phases"
    assert float((high - low)[:, 0].detach().mean()) > 0.3


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("magic", {}, "Unknown guidance 'magic'"),
        ("plm", {"depth": 3}, "has no depth"),
        ("plm", {"width": 10**6}, "width is 1000000; it must be a whole number"),
        ("plm", {"width": True}, "width is True"),
        ("plm", {"gamma": float("nan")}, "gamma is nan"),
        ("none", {"width": 4}, "it has no options"),
        ("plm", {"use_ratio_encoder": False, "use_spatial_attention": False}, "needs its ratio encoder"),
        ("plm", {"use_spatial_attention": False}, "Feature aggregation works on"),
    ],
)
def test_impossible_guidance_is_refused(kind: str, options: dict[str, object], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        build_guidance(kind, 8, 3, options)


def test_spatial_guidance_places_the_ratio() -> None:
    """With coordinates the same ratio adds something else at another place of a uniform field; without, it does not."""
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # a convolution pads its border
    for coordinates in (True, False):
        module = build_guidance("spatial", 4, 3, {"width": 8, "coordinates": coordinates})
        with torch.no_grad():
            for p in module.parameters():
                p.normal_(std=0.3)
            out = module(torch.zeros(1, 4, 9, 9), torch.tensor([[0.2, 0.3, 0.5]]))[inside]
        spread = float(out.flatten(2).std(dim=2).max())
        assert (spread > 0.01) == coordinates


def test_spatial_guidance_as_in_the_slides() -> None:
    module = build_guidance("spatial", 4, 3, {"gamma": 0.7, "delta": 0.3})
    features = torch.randn(1, 4, 5, 5)
    assert torch.allclose(module(features, torch.tensor([[0.2, 0.3, 0.5]])), 0.7 * features)
    assert not any(name.endswith("strength") for name, _ in module.named_parameters())
