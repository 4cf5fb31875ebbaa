"""The methods by name, and in words."""

from __future__ import annotations

FOREST, FOREST_MATCHED, BOOSTED = "forest", "forest-matched", "boosted"
NETWORK, OURS, PRETRAINED = "network", "ours", "ours-pretrained"

WHAT: dict[str, str] = {
    FOREST: "random forest on multiscale features; takes no ratio",
    FOREST_MATCHED: "control: the same forest, its votes matched to the ratio by ours",
    BOOSTED: "boosted trees on the same features, with a volume-fraction term",
    NETWORK: "FPN on an ImageNet encoder, without guidance; takes no ratio",
    OURS: "the same FPN with guidance, its scores matched to the ratio",
    PRETRAINED: "**not from the strokes alone**: ours, pretrained on the labels of other images",
}
"""In the order of the tables."""
