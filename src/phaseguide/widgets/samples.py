"""File > Open Sample: the micrographs that ship with the package, with their labels hidden beside them."""

from __future__ import annotations

from typing import Any

from phaseguide.datasets.samples import ATTRIBUTION, open_sample

LayerData = tuple[Any, dict[str, Any], str]


def open_uhcs0220() -> list[LayerData]:
    """Return layers of the sample uhcs0220."""
    return sample_layers("uhcs0220")


def open_uhcs0495() -> list[LayerData]:
    """Return layers of the sample uhcs0495."""
    return sample_layers("uhcs0495")


def open_uhcs0220_strokes() -> list[LayerData]:
    """Return layers of the sample uhcs0220 with strokes where the model `uhcs` is wrong."""
    from phaseguide.datasets.samples import open_strokes
    from phaseguide.micrographs.records import sha256_of_array
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features
    from phaseguide.widgets.layers.identity import KEY
    from phaseguide.widgets.layers.layer_keeper import PIXELS

    name, sample = "uhcs0220", open_sample("uhcs0220")
    scheme = sample.scheme
    edits: dict[str, Any] = {
        "name": f"{name} edits",
        "opacity": 0.9,
        "colormap": phase_colormap(scheme),
        "features": phase_features(scheme),
        # They are known as the image's edits by its pixels: when they are made, there is no layer of it yet.
        "metadata": {KEY: {"role": "edits", PIXELS: sha256_of_array(sample.image)}},
    }
    return [*sample_layers(name), (open_strokes(name), edits, "labels")]


def sample_layers(name: str) -> list[LayerData]:
    """Return an image layer and, not visible, a labels layer with what people labelled."""
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features

    sample = open_sample(name)
    labels: dict[str, Any] = {
        "name": f"{name} true labels",
        "visible": False,
        "opacity": 0.5,
        "colormap": phase_colormap(sample.scheme),
        "features": phase_features(sample.scheme),
        "metadata": {"source": ATTRIBUTION},
    }
    image: dict[str, Any] = {
        "name": name,
        "metadata": {"source": ATTRIBUTION, "path": str(sample.image_path)},
    }
    return [(sample.image, image, "image"), (sample.labels, labels, "labels")]
