"""File > Open Sample: the micrographs that ship with the package, with their labels hidden beside them."""

from __future__ import annotations

from functools import partial
from typing import Any

from phaseguide.datasets.samples import open_sample

LayerData = tuple[Any, dict[str, Any], str]


def sample_layers(name: str) -> list[LayerData]:
    """Return an image layer, which says which phases it has, and, not visible, a labels layer with what people
    labelled.
    """
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features
    from phaseguide.widgets.layers.identity import KEY

    sample = open_sample(name)
    labels: dict[str, Any] = {
        "name": f"{name} true labels",
        "visible": False,
        "opacity": 0.5,
        "colormap": phase_colormap(sample.scheme),
        "features": phase_features(sample.scheme),
        "metadata": {"source": sample.attribution},
    }
    image: dict[str, Any] = {
        "name": name,
        "metadata": {
            "source": sample.attribution,
            "path": str(sample.image_path),
            KEY: {"phases": sample.scheme.names},
        },
    }
    return [(sample.image, image, "image"), (sample.labels, labels, "labels")]


def layers_with_strokes(name: str) -> list[LayerData]:
    """Return the layers of a sample, and strokes where the model `uhcs` is wrong."""
    from phaseguide.datasets.samples import open_strokes
    from phaseguide.micrographs.records import sha256_of_array
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features
    from phaseguide.widgets.layers.identity import KEY
    from phaseguide.widgets.layers.layer_keeper import PIXELS

    sample = open_sample(name)
    edits: dict[str, Any] = {
        "name": f"{name} edits",
        "opacity": 0.9,
        "colormap": phase_colormap(sample.scheme),
        "features": phase_features(sample.scheme),
        # They are known as the image's edits by its pixels: when they are made, there is no layer of it yet.
        "metadata": {KEY: {"role": "edits", PIXELS: sha256_of_array(sample.image)}},
    }
    return [*sample_layers(name), (open_strokes(name), edits, "labels")]


# What the manifest names: it can give a command no argument.
open_uhcs0220 = partial(sample_layers, "uhcs0220")
open_uhcs0495 = partial(sample_layers, "uhcs0495")
open_uhcs0220_strokes = partial(layers_with_strokes, "uhcs0220")
open_superalloy = partial(sample_layers, "spot2_0d_0")
open_ebc = partial(sample_layers, "070516_1_S1160030")
