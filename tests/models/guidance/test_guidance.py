"""Guidance: published parameter counts, the bypass, response to the ratio, every ablation."""

from __future__ import annotations

import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models.guidance import GUIDANCE, build_guidance
from phaseguide.models.guidance.ccrm import magnitude
from phaseguide.models.guidance.plm import FeatureAggregator, PhaseLearningModule

ABLATIONS = {
    "RE": {"use_spatial_awareness": False, "use_feature_aggregator": False},
    "SA": {"use_ratio_encoder": False, "use_feature_aggregator": False},
    "SA+FA": {"use_ratio_encoder": False},
    "RE+SA": {"use_feature_aggregator": False},
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
    ("plm", {"maps": "concatenated"}),
    ("plm", {"maps": "concatenated", "use_feature_aggregator": False}),
    ("plm", {"gates": "scalars"}),
    *[("plm", options) for options in ABLATIONS.values()],
]
LISTENING = [(kind, options) for kind, options in KINDS if options.get("use_ratio_encoder", True)]


def count_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def parts(module: torch.nn.Module, name: str) -> int:
    return count_parameters(getattr(module, name))


def test_plm_has_the_published_parameter_counts() -> None:
    plm = PhaseLearningModule(256, 3, width=256)
    assert parts(plm, "ratio_encoder") == 33_536
    assert parts(plm, "spatial_awareness") == 21_504
    assert [count_parameters(conv) for conv in plm.spatial_awareness or []] == [7_168] * 3
    assert parts(plm, "feature_extractor") == 256 * 3 + 3
    assert parts(plm.feature_aggregator, "mix") == 1_179_904
    assert plm.gamma.item() == 1 and plm.delta.item() == 0


def test_ccrm_is_small() -> None:
    assert count_parameters(build_guidance("ccrm", 320, 4)) < 0.02 * 4_700_000


@pytest.mark.parametrize(("kind", "options"), [("none", {}), *LISTENING])
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


@pytest.mark.parametrize(("kind", "options"), LISTENING)
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


@pytest.mark.parametrize("row", ["SA", "SA+FA"])
def test_the_rows_without_a_ratio_encoder_know_no_ratio_and_act_all_the_same(row: str) -> None:
    torch.manual_seed(2)
    module = build_guidance("plm", 16, 3, {**ABLATIONS[row], "width": 8, "gamma": 0.5, "delta": 0.5})
    features = torch.randn(2, 16, 4, 4)
    none = module(features, None)
    assert float((none - features).detach().abs().max()) > 0.1
    told = torch.tensor([[0.1, 0.2, 0.7], [torch.nan] * 3])
    assert torch.equal(module(features, told), none)


def test_both_readings_have_the_counts_that_the_docstring_tells() -> None:
    """Concatenated maps would have three times the published parameters in FA; scalar gates change no count."""
    concatenated = PhaseLearningModule(256, 3, maps="concatenated")
    assert parts(concatenated.feature_aggregator, "mix") == 3_539_200
    assert parts(concatenated.feature_aggregator, "gates") == 2 * 1536 + 2
    for gates in ("maps", "scalars"):
        module = PhaseLearningModule(256, 3, gates=gates)  # type: ignore[arg-type]
        assert parts(module.feature_aggregator, "gates") == 1_026
        assert parts(module, "feature_aggregator") == 1_179_904 + 1_026


def test_scalar_gates_are_the_same_everywhere() -> None:
    """On S and M that differ from place to place, each is weighed by one number of a field, or by a map."""
    torch.manual_seed(3)
    for gates in ("maps", "scalars"):
        aggregator = FeatureAggregator(2, 4, gates)  # type: ignore[arg-type]
        with torch.no_grad():
            aggregator.mix.weight.zero_()
            aggregator.mix.bias.zero_()  # type: ignore[union-attr]
            for channel in range(4):
                aggregator.mix.weight[channel, channel, 1, 1] = 1.0
            aware, modulated = torch.rand(1, 2, 6, 6) + 0.5, torch.rand(1, 2, 6, 6) + 0.5
            out = aggregator(aware, modulated)
        opened = out / torch.cat((aware, modulated), 1)
        spread = float(opened.flatten(2).std(dim=2).max())
        assert (spread < 1e-6) == (gates == "scalars")
        assert torch.allclose(opened[:, 0], opened[:, 1], atol=1e-6), "one gate for all channels of S"


def test_concatenated_maps_keep_phases_apart() -> None:
    """What one phase's map says reaches its own channels alone, each times the code of the ratio."""
    torch.manual_seed(4)
    module = PhaseLearningModule(6, 3, width=2, maps="concatenated", use_feature_aggregator=False)
    assert isinstance(module.project, torch.nn.Identity)
    with torch.no_grad():
        module.gamma.zero_()
        module.delta.fill_(1.0)
        features, ratio = torch.randn(1, 6, 5, 5), torch.tensor([[0.2, 0.3, 0.5]])
        before = module(features, ratio)
        module.spatial_awareness[1].weight.mul_(2)  # type: ignore[index, union-attr, operator]
        changed = (module(features, ratio) - before).abs().amax((0, 2, 3))
    assert bool((changed[2:4] > 1e-6).all()) and float(changed[[0, 1, 4, 5]].max()) == 0


def test_weights_by_the_names_of_earlier_versions_are_taken() -> None:
    torch.manual_seed(5)
    for row, options in ABLATIONS.items():
        module = PhaseLearningModule(8, 3, width=4, **options)  # type: ignore[arg-type]
        old = {
            name.replace("feature_extractor", "feature_encoder")
            .replace("spatial_awareness", "spatial_attention")
            .replace("feature_aggregator.gates", "gates")
            .replace("feature_aggregator.mix", "project"): tensor + 1
            for name, tensor in module.state_dict().items()
        }
        fresh = torch.nn.ModuleList([PhaseLearningModule(8, 3, width=4, **options)])  # type: ignore[arg-type]
        fresh.load_state_dict({f"0.{name}": tensor for name, tensor in old.items()})
        for (name, found), tensor in zip(fresh[0].state_dict().items(), old.values(), strict=True):
            assert torch.equal(found, tensor), (row, name)


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
        ("plm", {"maps": "product"}, "maps is 'product'; it must be one of 'sum', 'concatenated'"),
        ("none", {"width": 4}, "it has no options"),
        ("plm", {"use_ratio_encoder": False, "use_spatial_awareness": False}, "needs its Ratio Encoder"),
        ("plm", {"use_spatial_awareness": False}, "Feature Aggregator works on"),
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
