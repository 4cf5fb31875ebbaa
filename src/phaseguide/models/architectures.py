"""What a model may be built of: architectures, encoders and options, each by name and within its limits.

A model file is data that somebody else may have made, and these values decide what code runs: an encoder's name can
send timm to a hub or to a folder, an option to a file. So all is refused that does not stand here. Without torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from phaseguide.errors import ModelError
from phaseguide.option_values import ARCHITECTURE_NAMES, SYSTEMS

SAM = "sam"
"""The architecture of `phaseguide.models.backbones.sam`."""
FPN = "fpn"
FINE = "fpn-fine"
"""The architecture of `phaseguide.models.backbones.fine`; those of `ARCHITECTURES` are from
segmentation-models-pytorch."""
ARCHITECTURES = {
    "unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    FPN: "FPN",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
}
PIXELS = "pixels"
"""The architecture of `phaseguide.models.backbones.pixels`, which is fitted and not trained."""
REFINE = "refine"
"""Guidance on scores (`phaseguide.models.refinement`); every other kind acts in the network."""
ONE_LOGIT = "one_logit"
"""Option of every decoder but those of `SAM` and `PIXELS`: two phases from one channel."""
OWN_ENCODER = "own"
"""What the encoder of a published system is called: it has no other."""
NNUNET = "nnunet"
NNUNET_STAGES = 6
"""Resolutions of nnU-Net's network where nobody planned them."""
WIDTHS = (0.0625, 4.0)
"""Factors of all channels of a published system."""
WIDEST = 8192
"""Channels of a layer."""

# No colon and no slash: those make an address of a name.
_ENCODER = re.compile(r"[A-Za-z0-9_]+([-.][A-Za-z0-9_]+)*")

Check = Callable[[Any], str]
"""Says what a value must be; empty if it is."""


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if fits else f"a whole number from {low} to {high}"

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and low <= value <= high else f"a number, {low:g} to {high:g}"

    return check


def _one_of(*known: Any) -> Check:
    def check(value: Any) -> str:
        same = any(type(value) is type(one) and value == one for one in known)
        return "" if same else f"one of {', '.join(map(repr, known))}"

    return check


def _some_of(*known: float) -> Check:
    def check(value: Any) -> str:
        fits = (
            isinstance(value, list | tuple)
            and 0 < len(value) <= len(known)
            and all(v in known for v in value)
        )
        return "" if fits else f"some of {', '.join(f'{one:g}' for one in known)}"

    return check


def _wholes(fewest: int, most: int, high: int) -> Check:
    def check(value: Any) -> str:
        listed = isinstance(value, list | tuple) and fewest <= len(value) <= most
        fits = listed and not any(_whole(1, high)(one) for one in value)
        return "" if fits else f"{fewest} to {most} whole numbers from 1 to {high}"

    return check


def _numbers(fewest: int, most: int, low: float, high: float) -> Check:
    def check(value: Any) -> str:
        listed = isinstance(value, list | tuple) and fewest <= len(value) <= most
        fits = listed and not any(_number(low, high)(one) for one in value)
        return "" if fits else f"{fewest} to {most} numbers from {low:g} to {high:g}"

    return check


def _eights() -> Check:
    """Channels that are normalised in groups of eight."""

    def check(value: Any) -> str:
        fits = not _whole(8, WIDEST)(value) and value % 8 == 0
        return "" if fits else f"a multiple of 8 from 8 to {WIDEST}"

    return check


def _matches(pattern: re.Pattern[str], what: str) -> Check:
    return lambda value: "" if isinstance(value, str) and pattern.fullmatch(value) else what


_WIDTH, _FLAG, _SHARE = _whole(1, WIDEST), _one_of(True, False), _number(0.0, 1.0)
_STRENGTH = _number(-1e3, 1e3)
_DEPTH = {"encoder_depth": _whole(3, 5)}
_BLEND = {"decoder_interpolation": _one_of("nearest", "bilinear", "bicubic")}
_UNET = {
    **_DEPTH,
    **_BLEND,
    "decoder_channels": _wholes(3, 5, WIDEST),
    "decoder_use_norm": _one_of(True, False, "batchnorm", "layernorm", "instancenorm", "identity"),
    "decoder_attention_type": _one_of(None, "scse"),
}
_FPN = {
    **_BLEND,
    "decoder_pyramid_channels": _WIDTH,
    "decoder_segmentation_channels": _WIDTH,
    "decoder_merge_policy": _one_of("add", "cat"),
    "decoder_dropout": _SHARE,
}
_DECODERS: dict[str, dict[str, Check]] = {
    "unet": {**_UNET, "skips": _FLAG},
    "unetplusplus": _UNET,
    FPN: {**_DEPTH, **_FPN},
    FINE: {**_FPN, "stem_channels": _eights(), "fine_channels": _eights()},
    "deeplabv3plus": {
        **_DEPTH,
        "encoder_output_stride": _one_of(8, 16),
        "decoder_channels": _WIDTH,
        "decoder_atrous_rates": _wholes(1, 6, 256),
        "decoder_aspp_separable": _FLAG,
        "decoder_aspp_dropout": _SHARE,
    },
    "segformer": {**_DEPTH, "decoder_segmentation_channels": _WIDTH},
    SAM: {"head": _one_of("mask", "conv")},
    PIXELS: {
        "zooms": _some_of(0.5, 1.0, 1.5, 2.0),
        "levels": _whole(1, 5),
        "sigmas": _numbers(1, 16, 0, 64),
    },
    **{name: {"width": _number(*WIDTHS)} for name in SYSTEMS},
}
_DECODERS[NNUNET]["stages"] = _whole(3, 11)
_DECODERS["elunet"]["channels"] = _whole(1, 256)
_DECODERS["uctransnet"] |= {"heads": _whole(1, 16), "layers": _whole(1, 16)}
for _known in (options for name, options in _DECODERS.items() if name not in (SAM, PIXELS)):
    _known[ONE_LOGIT] = _one_of(True)
_ADAPTER: dict[str, Check] = {
    "rank": _whole(0, 65536),
    "blocks": _whole(0, 64),
    "base": _matches(re.compile("|[0-9a-f]{64}"), "a checksum of 64 hex digits, or empty"),
    "merged": _FLAG,
}
_GUIDANCE: dict[str, dict[str, Check]] = {
    "none": {},
    "additive": {},
    "spatial": {"width": _WIDTH, "coordinates": _FLAG, "gamma": _STRENGTH, "delta": _STRENGTH},
    "plm": {
        "width": _WIDTH,
        "use_ratio_encoder": _FLAG,
        "use_spatial_awareness": _FLAG,
        "use_feature_aggregator": _FLAG,
        "coordinates": _FLAG,
        "gamma": _STRENGTH,
        "delta": _STRENGTH,
        "maps": _one_of("sum", "concatenated"),
        "gates": _one_of("maps", "scalars"),
    },
    "ccrm": {"coordinates": _FLAG, "use_gate": _FLAG, "delta": _STRENGTH},
    REFINE: {"width": _whole(4, 256), "levels": _whole(1, 5)},
}


def check_backbone(
    architecture: str, encoder: str, decoder: Mapping[str, Any], adapter: Mapping[str, Any]
) -> None:
    """Make sure that a backbone is one that may be built.

    Whether the encoder is there is told by `phaseguide.models.backbones.unet.check_encoder`, which needs the libraries.
    Raises `ModelError` for an architecture that does not exist, a name that is none, an option that there is not or a
    value out of its range; see `phaseguide.models.backbones.base.BackboneOptions`.
    """
    if architecture not in _DECODERS:
        known = ", ".join((*ARCHITECTURE_NAMES, PIXELS))
        raise ModelError(f"Unknown architecture {architecture[:60]!r}. Choose one of {known}.")
    if _ENCODER.fullmatch(encoder) is None or len(encoder) > 80:
        raise ModelError(
            f"{encoder[:60]!r} is not the name of an encoder. Choose one of segmentation-models-pytorch, or 'tu-' "
            "and a model of timm; addresses and folders are refused."
        )
    _check(f"The decoder of {architecture!r}", decoder, _DECODERS[architecture])
    if adapter and architecture != SAM:
        raise ModelError(f"Architecture {architecture!r} takes no adapters; only {SAM!r} does.")
    _check("adapter", adapter, _ADAPTER)


def check_guidance(kind: str, options: Mapping[str, Any]) -> None:
    """Make sure that a guidance is one that may be built; see `phaseguide.models.segmenter.GuidanceOptions`."""
    if kind not in _GUIDANCE:
        raise ModelError(f"Unknown guidance {kind[:60]!r}. Choose one of {', '.join(_GUIDANCE)}.")
    _check(f"Guidance {kind!r}", options, _GUIDANCE[kind])


def takes_ratio(kind: str, options: Mapping[str, Any]) -> bool:
    """Whether what guidance of a kind makes of an image depends on a ratio; not without the Ratio Encoder of a PLM."""
    return kind != "none" and bool(options.get("use_ratio_encoder", True))


def _check(what: str, options: Mapping[str, Any], known: Mapping[str, Check]) -> None:
    if unknown := sorted(set(options) - set(known)):
        has = f"it has {', '.join(sorted(known))}" if known else "it has no options"
        raise ModelError(f"{what} has no {', '.join(unknown)[:80]}; {has}.")
    for name, value in options.items():
        if wanted := known[name](value):
            raise ModelError(f"{what}: {name} is {repr(value)[:60]}; it must be {wanted}.")
