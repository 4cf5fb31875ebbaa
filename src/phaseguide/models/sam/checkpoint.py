"""Weights of Segment Anything in the official file format: read with care, told apart, never unpickled freely."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ModelError
from phaseguide.models.foreign_weights import read_weights
from phaseguide.models.sam.shapes import SHAPES, SamShape

if TYPE_CHECKING:
    from torch import Tensor

ENCODER = "image_encoder."
DECODER = "mask_decoder."
PROMPTS = "prompt_encoder."


def read_checkpoint(path: Path, shape: SamShape) -> dict[str, Tensor]:
    """Read a checkpoint in the official format (``.pth``, a state dict of `segment_anything`'s ``Sam``).

    Its checksum should have been compared before; only tensors are read (``weights_only``). Returns them by their
    official names, on the CPU. Raises `ModelError` where it is missing, truncated, or not of this shape.
    """
    state = read_weights(path)
    if not _is_official(state):
        raise ModelError(
            f"{path}: is no checkpoint of Segment Anything. Choose an official file (sam_vit_b_01ec64.pth or "
            "its larger sisters), or one saved in the same format."
        )
    found = _name_of(state)
    expected = expected_shapes(shape)
    if any(name not in state or tuple(state[name].shape) != size for name, size in expected.items()):
        other = found.name if found is not None and found.name != shape.name else ""
        raise ModelError(
            f"{path}: holds {f'a {other} model' if other else 'a model of another shape'}, but {shape.name} is "
            f"needed. Choose a checkpoint of {shape.name}" + (f", or the size {other}." if other else ".")
        )
    # Some checkpoints are kept in half precision, or as parameters that would ask for gradients.
    return {name: state[name].detach().float() for name in expected}


def _is_official(state: Any) -> bool:
    """Whether something that was read has the names and kinds of a Segment Anything checkpoint."""
    from torch import Tensor

    return (
        isinstance(state, dict)
        and f"{ENCODER}pos_embed" in state
        and all(isinstance(name, str) and isinstance(t, Tensor) for name, t in state.items())
        and all(t.is_floating_point() for t in state.values())
    )


def expected_shapes(shape: SamShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of an official checkpoint of this size."""
    import torch

    with torch.device("meta"):
        model = build_official(shape)
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


def build_official(shape: SamShape) -> Any:
    """Build `segment_anything`'s own model with fresh weights."""
    from functools import partial

    from torch import nn

    modeling = official_package()
    c, grid = shape.out_channels, shape.grid
    return modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            depth=shape.depth,
            embed_dim=shape.width,
            img_size=shape.image_side,
            mlp_ratio=4,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=shape.heads,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=shape.global_blocks,
            window_size=14,
            out_chans=c,
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=c,
            image_embedding_size=(grid, grid),
            input_image_size=(shape.image_side, shape.image_side),
            mask_in_chans=16,
        ),
        mask_decoder=modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=c, mlp_dim=8 * c, num_heads=8),
            transformer_dim=c,
            iou_head_depth=3,
            iou_head_hidden_dim=c,
        ),
    )


def official_package() -> Any:
    """Return the package `segment_anything.modeling`, or raise `ModelError` where it is not installed."""
    try:
        from segment_anything import modeling
    except ImportError as error:
        raise ModelError(
            "Segment Anything models need the packages segment-anything and peft. Install them with: "
            "pip install segment-anything peft"
        ) from error
    return modeling


def _name_of(state: dict[str, Tensor]) -> SamShape | None:
    """The size that a checkpoint has, told from its tensors."""
    width = state[f"{ENCODER}pos_embed"].shape[-1]
    depth = sum(name.endswith(".attn.qkv.weight") for name in state)
    return next((s for s in SHAPES.values() if (s.width, s.depth) == (width, depth)), None)
