"""Decoders for K phases on the encoder's one map: SAM's mask decoder with a token a phase, or a light head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.sam.checkpoint import DECODER, PROMPTS, official_package
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.sam.shapes import PATCH, SamShape

OFFICIAL_MASKS = 3
"""Masks that the official decoder proposes at once; their tokens and networks start those of the phases."""


class MaskHead(nn.Module):
    """SAM's mask decoder with one mask token a phase, beside SAM's own single-mask token: K + 1.

    Softmax is over the K masks. No prompt is needed; boxes and points that stand for a phase are further
    tokens that the phases' tokens can attend to, and evidence where they lie.
    """

    def __init__(self, shape: SamShape, n_phases: int) -> None:
        super().__init__()
        modeling = official_package()
        c = shape.out_channels
        self.shape = shape
        decoder = modeling.MaskDecoder(
            num_multimask_outputs=OFFICIAL_MASKS,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=c, mlp_dim=8 * c, num_heads=8),
            transformer_dim=c,
        )
        prompts = modeling.PromptEncoder(
            embed_dim=c, image_embedding_size=(1, 1), input_image_size=(1, 1), mask_in_chans=16
        )
        self.transformer = decoder.transformer
        self.output_upscaling = decoder.output_upscaling
        # As in SAM the quality token and the single-mask token take part in the attention.
        self.own_tokens = nn.Parameter(torch.randn(2, c))
        self.phase_tokens = nn.Parameter(torch.randn(n_phases, c))
        # One small network a phase, its layers stacked so that all phases are one multiplication.
        sizes = ((c, c), (c, c), (c, c // 8))
        self.weights = nn.ParameterList([torch.randn(n_phases, a, b) / a**0.5 for a, b in sizes])
        self.biases = nn.ParameterList([torch.zeros(n_phases, 1, b) for _, b in sizes])
        self.pe_layer = prompts.pe_layer
        self.no_mask = nn.Parameter(torch.randn(1, c))
        # Inside and outside of a point, two corners of a box (as official); and whose prompt it is.
        self.point_kinds = nn.Parameter(torch.randn(4, c))
        # Not zeros: prompts of all phases would then be alike, and hundreds of steps do not tell them apart.
        self.prompt_phases = nn.Parameter(torch.randn(n_phases, c))
        # What prompts cover is evidence in its place too, added to the logits; so that they mean something before
        # a decoder has learnt, over thousands of steps, what the place of a token means.
        self.prompt_weights = nn.Parameter(torch.ones(n_phases))

    def forward(self, features: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Return logits, shape (B, K, 4 h, 4 w), for features of shape (B, C, h, w).

        Prompts are the same for all samples, in px of an image of 16 h x 16 w.
        """
        b, _, h, w = features.shape
        tokens = torch.cat([self.own_tokens, self.phase_tokens])
        if prompts is not None and len(prompts):
            tokens = torch.cat([tokens, self._prompt_tokens(prompts, h, w, features.device)])
        queries = tokens.to(features.dtype).expand(b, -1, -1)
        position = self.pe_layer((h, w)).to(features.dtype).expand(b, -1, -1, -1)
        source = features + self.no_mask[:, :, None, None]
        hidden, source = self.transformer(source, position, queries)
        source = source.transpose(1, 2).reshape(b, -1, h, w)
        upscaled = self.output_upscaling(source)
        own = len(self.own_tokens)
        code = hidden[:, own : own + len(self.phase_tokens)].transpose(0, 1)  # (K, B, C)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            code = torch.baddbmm(bias, code, weight)
            code = F.relu(code) if layer + 1 < len(self.weights) else code
        masks: Tensor = torch.einsum("kbc,bchw->bkhw", code, upscaled)
        if prompts is not None and len(prompts):
            masks = masks + self._prompt_evidence(prompts, h, w, features.device)
        return masks

    def _prompt_tokens(self, prompts: Prompts, height: int, width: int, device: torch.device) -> Tensor:
        points, kinds, phases = prompts.tokens(height * 16, width * 16)
        where: Tensor = self.pe_layer._pe_encoding(
            torch.as_tensor(points, dtype=torch.float32, device=device)
        )
        kind = self.point_kinds[torch.as_tensor(kinds, device=device)]
        return where + kind + self.prompt_phases[torch.as_tensor(phases, device=device)]

    def _prompt_evidence(self, prompts: Prompts, height: int, width: int, device: torch.device) -> Tensor:
        """What prompts add to the logits, shape (1, K, 4 h, 4 w)."""
        covered = torch.as_tensor(
            prompts.coverage(height, width, PATCH, len(self.phase_tokens)), device=device
        )
        weighted = covered[None] * self.prompt_weights[:, None, None]
        return F.interpolate(weighted, scale_factor=4, mode="bilinear")

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Start from the official decoder and prompt encoder, by official names; more than these may be there.

        Phase k starts as the official mask k mod 3. Where there are more phases, tokens are set a little apart.
        """
        c = self.shape.out_channels
        own = _under(state, DECODER)
        self.transformer.load_state_dict(_under(own, "transformer."))
        self.output_upscaling.load_state_dict(_under(own, "output_upscaling."))
        prompts = _under(state, PROMPTS)
        name = "positional_encoding_gaussian_matrix"
        self.pe_layer.load_state_dict({name: prompts[f"pe_layer.{name}"]})
        with torch.no_grad():
            tokens = own["mask_tokens.weight"]
            self.own_tokens.copy_(torch.cat([own["iou_token.weight"], tokens[:1]]))
            self.no_mask.copy_(prompts["no_mask_embed.weight"])
            self.point_kinds.copy_(torch.cat([prompts[f"point_embeddings.{i}.weight"] for i in range(4)]))
            for k in range(len(self.phase_tokens)):
                mask = 1 + k % OFFICIAL_MASKS
                apart = 0.0 if k < OFFICIAL_MASKS else 0.1
                self.phase_tokens[k] = tokens[mask] + apart * tokens.std() * torch.randn(c)
                for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                    place = f"output_hypernetworks_mlps.{mask}.layers.{layer}."
                    weight[k] = own[f"{place}weight"].T
                    bias[k, 0] = own[f"{place}bias"]


class ConvHead(nn.Module):
    """Two transposed convolutions and one to K maps: a tenth of the decoder's cost, no prompts."""

    def __init__(self, shape: SamShape, n_phases: int) -> None:
        super().__init__()
        c = shape.out_channels
        self.body = nn.Sequential(
            nn.ConvTranspose2d(c, c // 4, 2, stride=2),
            nn.GroupNorm(1, c // 4),
            nn.GELU(),
            nn.ConvTranspose2d(c // 4, c // 8, 2, stride=2),
            nn.GELU(),
        )
        self.head = nn.Conv2d(c // 8, n_phases, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, shape (B, K, 4 h, 4 w)."""
        logits: Tensor = self.head(self.body(features))
        return logits

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Start the upscaling from the official decoder's."""
        upscaling = _under(_under(state, DECODER), "output_upscaling.")
        self.body[0].load_state_dict({n: upscaling[f"0.{n}"] for n in ("weight", "bias")})
        self.body[3].load_state_dict({n: upscaling[f"3.{n}"] for n in ("weight", "bias")})


HEADS: dict[str, type[MaskHead] | type[ConvHead]] = {"mask": MaskHead, "conv": ConvHead}


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
