"""LoRA on the queries and values of the encoder, through PEFT; everything else of it stays the base.

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022. As in the published
work, each query and value projection gets B A, added with factor 1, B starting at zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.errors import ModelError

ADAPTER = "default"
"""The name under which PEFT keeps the one adapter of a model."""


class SplitQKV(nn.Module):
    """A fused projection to queries, keys and values as three, with the same result to the last bit.

    Where nothing is learnt, the adapters are added to the fused weights once, so that running an adapted
    encoder costs what running its base does. The weights of the fused one, from d to 3 d, are not copied.
    """

    q: Any
    k: Any
    v: Any

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        self.fused_weight: Tensor = fused.weight.detach()
        self.fused_bias: Tensor = fused.bias.detach()
        self._summed: tuple[tuple[Any, ...], Tensor] | None = None
        width = fused.in_features
        for index, name in enumerate("qkv"):
            part = nn.Linear(width, width, device="meta")
            rows = slice(index * width, (index + 1) * width)
            part.weight = nn.Parameter(fused.weight.detach()[rows], requires_grad=False)
            part.bias = nn.Parameter(fused.bias.detach()[rows], requires_grad=False)
            self.add_module(name, part)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return queries, keys and values one after the other, shape (..., 3 d)."""
        if torch.is_grad_enabled():
            return torch.cat([self.q(tokens), self.k(tokens), self.v(tokens)], dim=-1)
        return F.linear(tokens, self._weight(), self.fused_bias)

    def train(self, mode: bool = True) -> SplitQKV:
        """As of any module; what was summed is forgotten, since fused optimisers change weights unseen."""
        self._summed = None
        return super().train(mode)

    def _weight(self) -> Tensor:
        """The fused weights with what the adapters add; kept until one of them changes."""
        if self.q.disable_adapters:
            return self.fused_weight
        own = (self.q.lora_A, self.q.lora_B, self.v.lora_A, self.v.lora_B)
        parts = [part[ADAPTER].weight for part in own]
        key = tuple((p.data_ptr(), p._version, p.device) for p in (self.fused_weight, *parts))
        if self._summed is None or self._summed[0] != key:
            weight = self.fused_weight.clone()
            width = weight.shape[1]
            # In full precision, whatever the caller runs in: it is kept for all.
            with torch.autocast(weight.device.type, enabled=False):
                for index, layer in ((0, self.q), (2, self.v)):
                    weight[index * width : (index + 1) * width] += layer.get_delta_weight(ADAPTER)
            self._summed = (key, weight)
        return self._summed[1]


def add_adapters(encoder: Any, rank: int, first: int) -> None:
    """Put adapters of a rank on queries and values of the blocks from ``first`` on, in place; needs PEFT."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ModelError("LoRA needs the package peft. Install it with: pip install peft") from error
    for block in list(encoder.blocks)[first:]:
        block.attn.qkv = SplitQKV(block.attn.qkv)
    # lora_alpha = r makes the factor 1.
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        bias="none",
        target_modules=r"(.*\.)?blocks\.\d+\.attn\.qkv\.(q|v)",
    )
    inject_adapter_in_model(config, encoder, adapter_name=ADAPTER, low_cpu_mem_usage=True)
    device = torch.get_default_device()
    for layer in lora_layers(encoder):
        for part in (layer.lora_A, layer.lora_B):
            part.to_empty(device=device)
            part.requires_grad_(True)
        layer.reset_lora_parameters(ADAPTER, True)


def lora_layers(encoder: nn.Module) -> list[Any]:
    """The adapted projections of an encoder, from the first block to the last."""
    return [m for m in encoder.modules() if hasattr(m, "lora_A") and hasattr(m, "get_delta_weight")]


def is_lora(name: str) -> bool:
    """Whether a parameter of the encoder belongs to an adapter."""
    return ".lora_" in name


@contextmanager
def adapters_off(encoder: nn.Module) -> Iterator[None]:
    """Run the body with the base alone."""
    layers = lora_layers(encoder)
    before = [layer.disable_adapters for layer in layers]
    # PEFT also switches what learns, which is not ours to change here.
    learning = {p: p.requires_grad for n, p in encoder.named_parameters() if is_lora(n)}
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer, was_off in zip(layers, before, strict=True):
            layer.enable_adapters(not was_off)
        for parameter, learns in learning.items():
            parameter.requires_grad_(learns)
