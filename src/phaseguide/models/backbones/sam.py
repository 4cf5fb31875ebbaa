"""Segment Anything as a backbone: a shared frozen encoder, adapters of its own, a decoder for K phases."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import Backbone, BackboneOptions, Features, pad_to_stride
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.sam.decoder import HEADS, MaskHead
from phaseguide.models.sam.encoder import build_encoder, to_sam_pixels
from phaseguide.models.sam.lora import SplitQKV, adapters_off, add_adapters, is_lora, lora_layers
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.sam.shapes import PATCH, find_shape
from phaseguide.models.sam.shared_base import BaseWeights, open_base, random_base
from phaseguide.option_values import SAM_BASE

DEFAULT_RANK = 512
"""Of the adapters; the best of 256, 512, 1024 and 2048 in the published comparison."""


class SamBackbone(Backbone):
    """SAM's image encoder adapted by LoRA, and a decoder for K phases on its one map.

    The base weights are no parameters of this module: they are shared by all backbones of one base,
    attached when the encoder first runs, never learn and are not in ``state_dict()``. So two models on
    one base cost one base, and a saved model holds what was trained.

    Parameters
    ----------
    options : BackboneOptions
        ``encoder``: a key of `phaseguide.models.sam.shapes.SHAPES`. ``decoder``: ``{"head": "mask"}`` or
        ``"conv"``. ``adapter``: ``rank`` (0 for none), ``blocks`` (adapt only so many of the last ones; 0 for
        all), ``base`` (sha256 of the base's file; empty for random weights, which are good for measuring
        speed only), ``merged`` (adapters are part of the weights, which are parameters then).
    n_phases : int
        K.

    Raises
    ------
    ModelError
        Options that do not fit.
    """

    stride = PATCH

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        super().__init__()
        self.shape = find_shape(options.encoder)
        given = {"rank": DEFAULT_RANK, "blocks": 0, "base": "", "merged": False, **options.adapter}
        _check(options, given, self.shape.depth)
        self.options = replace(options, adapter=given)
        self.first_adapted = self.shape.depth - (given["blocks"] or self.shape.depth)
        self._base: BaseWeights | None = None
        self._attached: torch.device | None = None
        self._slots: list[tuple[nn.Module, str, str, slice | None]] = []
        if given["merged"]:
            self.encoder = build_encoder(self.shape)
        else:
            with torch.device("meta"):
                self.encoder = build_encoder(self.shape)
            if given["rank"]:
                add_adapters(self.encoder, int(given["rank"]), self.first_adapted)
            self._slots = _take_out_base(self.encoder, self.shape.width)
        self.decoder = HEADS[options.decoder.get("head", "mask")](self.shape, n_phases)

    # -- what every backbone tells -----------------------------------------------------------------

    @property
    def channels(self) -> list[int]:
        """Channels of the encoder's one map."""
        return [self.shape.out_channels]

    def encoder_parts(self) -> dict[str, nn.Module]:
        """What of the encoder may learn: its adapters."""
        if self.options.adapter["merged"]:
            return {"encoder": self.encoder}
        layers = lora_layers(self.encoder)
        return (
            {"adapters": nn.ModuleList([p for m in layers for p in (m.lora_A, m.lora_B)])} if layers else {}
        )

    def decoder_parts(self) -> dict[str, nn.Module]:
        """What of the decoder may learn."""
        return {"decoder": self.decoder}

    def inner_modules(self) -> list[tuple[str, nn.Module]]:
        """The encoder's blocks; their output is (B, h, w, C)."""
        return [(f"block {i}", block) for i, block in enumerate(self.encoder.blocks, start=1)]

    def preferred_tile(self, device_kind: str) -> int:
        """Side of a tile in px: a field of 1024 costs five times one of 512 on a CPU, and much memory."""
        return 512 if device_kind == "cpu" else 1024

    def preferred_overlap(self, tile: int) -> int:
        """Overlap of neighbouring tiles of a side, px: an eighth, so that small tiles do not see most twice."""
        return min(128, max(PATCH * 2, tile // 8 // PATCH * PATCH))

    @property
    def half_dtype(self) -> str:
        """Name of torch's type for half precision on a GPU: as wide in range as single precision."""
        return "bfloat16"

    def encoder_checksum(self) -> str:
        """Checksum of everything that the features depend on."""
        own = tensors_sha256(dict(self.encoder.state_dict()))
        return f"{self.options.encoder}-{self.options.adapter['base']}-{own}"

    def load_pretrained(self, weights: str = SAM_BASE) -> None:
        """Start from official weights of this size, or from the base that the options name.

        Raises `ModelError` where they are not at hand; the message says how to get them.
        """
        if self.options.adapter["merged"]:
            raise ModelError("A merged model holds its encoder already; start from an adapter model instead.")
        if not self.options.adapter["base"]:
            from phaseguide.models.sam.shapes import OFFICIAL
            from phaseguide.models.sam.weights import find_official

            if self.options.encoder not in OFFICIAL:
                raise ModelError(
                    f"There are no official weights of {self.options.encoder}; name a base by its checksum."
                )
            find_official(self.options.encoder)
            sha256 = OFFICIAL[self.options.encoder].sha256
            self.options = replace(self.options, adapter={**self.options.adapter, "base": sha256})
            self._base, self._attached = None, None
        self.decoder.load_official(self.base.official)

    # -- running -----------------------------------------------------------------------------------

    def encode(self, image: Tensor) -> Features:
        """Encode an image of one or three channels, padded to whole tokens; see `Backbone.encode`."""
        return self.encode_adapted(self.encode_frozen(image))

    def encode_frozen(self, image: Tensor) -> Features:
        """Run the encoder up to the first adapted block: tokens, shape (B, h, w, C), that no training changes."""
        from timm.layers.pos_embed import resample_abs_pos_embed_nhwc

        self._attach(image.device)
        height, width = image.shape[-2:]
        tokens = self.encoder.patch_embed(to_sam_pixels(pad_to_stride(image, PATCH)))
        tokens = tokens + resample_abs_pos_embed_nhwc(self.encoder.pos_embed, tokens.shape[1:3])
        for block in list(self.encoder.blocks)[: self.first_adapted]:
            tokens = block(tokens)
        return Features([tokens], height, width)

    def encode_adapted(self, features: Features) -> Features:
        """Run the rest of the encoder on what `encode_frozen` returned."""
        tokens = features.maps[0]
        self._attach(tokens.device)
        for block in list(self.encoder.blocks)[self.first_adapted :]:
            if self.encoder.grad_checkpointing and torch.is_grad_enabled():
                tokens = torch.utils.checkpoint.checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        encoded = self.encoder.neck(tokens.permute(0, 3, 1, 2))
        return Features([encoded], features.height, features.width)

    def decode(self, features: Features) -> Tensor:
        """Return logits, shape (B, K, H, W), cropped to the size before padding."""
        return self._enlarged(self.decoder(features.maps[-1]), features)

    def decode_prompted(self, features: Features, prompts: Prompts) -> Tensor:
        """Return logits as `decode`, guided by boxes and points; the light head raises `ModelError`."""
        if not isinstance(self.decoder, MaskHead):
            raise ModelError(
                "This model has the light convolutional head, which takes no boxes and points. Choose one with "
                "the mask decoder."
            )
        return self._enlarged(self.decoder(features.maps[-1], prompts), features)

    def _enlarged(self, logits: Tensor, features: Features) -> Tensor:
        coded = features.maps[-1]
        size = (coded.shape[-2] * PATCH, coded.shape[-1] * PATCH)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return logits[..., : features.height, : features.width]

    @property
    def takes_prompts(self) -> bool:
        """Whether boxes and points have a say."""
        return isinstance(self.decoder, MaskHead)

    @contextmanager
    def without_adapters(self) -> Iterator[None]:
        """Run the body with the base encoder alone."""
        with adapters_off(self.encoder):
            yield

    def use_checkpointing(self, enable: bool = True) -> None:
        """Keep only the tokens between blocks for the backward pass and compute the rest again."""
        self.encoder.set_grad_checkpointing(enable)

    def frozen_parameters(self) -> int:
        """How many weights the shared base has of the encoder; 0 for a merged model, which holds its own."""
        if self.options.adapter["merged"]:
            return 0
        with torch.device("meta"):
            encoder = build_encoder(self.shape)
        return sum(p.numel() for p in encoder.parameters())

    def share_base(self, other: Backbone) -> None:
        """Sit on the base that another backbone sits on, also where it is random."""
        if isinstance(other, SamBackbone) and other._slots:
            self._base, self._attached = other.base, None

    # -- the base ----------------------------------------------------------------------------------

    @property
    def base(self) -> BaseWeights:
        """The base weights; read when first needed. Raises `ModelError` where they are not at hand, or damaged."""
        if self._base is None:
            sha256 = self.options.adapter["base"]
            # Made under inference mode, the weights could neither be merged nor be learnt through later.
            with torch.inference_mode(False):
                self._base = open_base(self.shape, sha256) if sha256 else random_base(self.shape)
        return self._base

    def _attach(self, device: torch.device) -> None:
        """Give the encoder the base weights on a device."""
        if self._attached == device or not self._slots:
            return
        # Whatever is made under inference mode could not be learnt through later.
        with torch.inference_mode(False):
            tensors = self.base.on(device)
            for module, name, key, rows in self._slots:
                # A plain attribute, so that nothing that walks over parameters finds it.
                object.__setattr__(module, name, tensors[key] if rows is None else tensors[key][rows])
        if self._attached is not None:
            self.base.leave(self._attached)
        self._attached = device

    def __deepcopy__(self, memo: dict[int, Any]) -> SamBackbone:
        """Copy what may learn; the base stays shared, also a random one that was not drawn yet."""
        if self._slots and not self.options.adapter["base"]:
            _ = self.base
        if self._base is not None:
            memo[id(self._base)] = self._base
        for module, name, _, _ in self._slots:
            if (tensor := module.__dict__.get(name)) is not None:
                memo[id(tensor)] = tensor
        for module in self.encoder.modules():
            if isinstance(module, SplitQKV):
                memo[id(module._summed)] = None
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update({key: copy.deepcopy(value, memo) for key, value in self.__dict__.items()})
        return new


def _take_out_base(encoder: Any, width: int) -> list[tuple[nn.Module, str, str, slice | None]]:
    """Remove the base from the parameters; returns where each of its tensors belongs.

    Each entry: a module, the attribute, timm's name of the tensor, and the rows of it (of a projection that
    was split).
    """
    slots: list[tuple[nn.Module, str, str, slice | None]] = []
    for path, module in encoder.named_modules():
        if isinstance(module, SplitQKV):
            slots += [(module, f"fused_{name}", f"{path}.{name}", None) for name in ("weight", "bias")]
        for name in list(module._parameters):
            if is_lora(f"{path}.{name}") or module._parameters[name] is None:
                continue
            del module._parameters[name]
            key, rows = f"{path}.{name}" if path else name, None
            for index, part in enumerate("qkv"):
                for own in (f".qkv.{part}.base_layer.", f".qkv.{part}."):
                    if own in key:
                        key, rows = key.replace(own, ".qkv."), slice(index * width, (index + 1) * width)
            slots.append((module, name, key, rows))
    return slots


def _check(options: BackboneOptions, adapter: dict[str, Any], depth: int) -> None:
    if adapter["blocks"] > depth:
        raise ModelError(
            f"adapter: blocks is {adapter['blocks']}; it must be a whole number from 0 to {depth}."
        )
    if adapter["merged"] and adapter["rank"]:
        raise ModelError("adapter: a merged model has no adapters of its own; set rank to 0.")
    if options.in_channels not in (1, 3):
        raise ModelError(f"Segment Anything takes images of 1 or 3 channels, not {options.in_channels}.")
