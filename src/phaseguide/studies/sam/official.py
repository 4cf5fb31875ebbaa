"""Segment Anything as it was published, prompted by clicks or boxes: what it does before anything is learnt.

It knows no phases. It gives masks of whatever is at a click, and here the largest logit says which phase's clicks a
pixel belongs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.errors import ModelError
from phaseguide.models.sam.checkpoint import build_official, read_checkpoint
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.sam.shapes import SamShape
from phaseguide.models.segmenter import normalise_image

AT_ONCE = 16
"""Prompts that the mask decoder takes at once; more need more memory."""


class ZeroShotSam:
    """An official Segment Anything model, from a file of weights in the official format."""

    def __init__(self, path: Path, shape: SamShape, device: torch.device | None = None) -> None:
        self.shape = shape
        self.device = torch.device("cpu") if device is None else device
        self._sam: Any = build_official(shape)
        self._sam.load_state_dict(read_checkpoint(path, shape))
        self._sam.to(self.device).eval()

    def open(self, image: NDArray[Any]) -> ZeroShotImage:
        """Encode an image of shape (H, W, 3) once, for any prompts; what is not uint8 is brought to 0 to 255 by its
        percentiles.
        """
        return ZeroShotImage(self._sam, self.shape, image, self.device)


class ZeroShotImage:
    """An image in an official model; see `ZeroShotSam.open`.

    As in the official predictor, the image is scaled to a long side of 1024 px (the model's own side) and padded
    at the right and below.
    """

    def __init__(self, sam: Any, shape: SamShape, image: NDArray[Any], device: torch.device) -> None:
        self._sam, self._device = sam, device
        self.height, self.width = image.shape[:2]
        self._scale = shape.image_side / max(self.height, self.width)
        self._size = (int(self.height * self._scale + 0.5), int(self.width * self._scale + 0.5))
        pixels = torch.from_numpy(_as_bytes(image)).permute(2, 0, 1)[None].to(device)
        with torch.inference_mode():
            # Antialiased, on bytes, as the official predictor scales.
            small = F.interpolate(pixels, self._size, mode="bilinear", antialias=True)
            self._coded: Tensor = sam.image_encoder(sam.preprocess(small.float()))

    def phases(self, prompts: Prompts, n_phases: int) -> NDArray[np.float32]:
        """Return a logit a phase and pixel, shape (K, H, W); -inf for a phase without a prompt.

        Every point and every box that stands for a phase is a prompt of its own, since a phase is many separate
        islands. A point is told together with the points of all other phases as places where its mask is *not*. Of
        the masks that the model proposes for a point, the one that it thinks best counts; of all prompts of a
        phase, at each pixel the largest logit.
        """
        prompts.validate(n_phases)
        total = np.full((n_phases, self.height, self.width), -np.inf, dtype=np.float32)
        for phase in range(1, n_phases + 1):
            for logits in (*self._of_points(prompts, phase), *self._of_boxes(prompts, phase)):
                np.maximum(total[phase - 1], logits, out=total[phase - 1])
        return total

    def _of_points(self, prompts: Prompts, phase: int) -> list[NDArray[np.float32]]:
        own = prompts.points[prompts.point_phases == phase]
        others = prompts.points[(prompts.point_phases != phase) & (prompts.point_phases > 0)]
        denied = prompts.points[prompts.point_phases == -phase]
        against = np.concatenate([others, denied])
        found = []
        for start in range(0, len(own), AT_ONCE):
            clicks = own[start : start + AT_ONCE]
            places = np.stack([np.concatenate([click[None], against]) for click in clicks])
            inside = np.zeros(places.shape[:2])
            inside[:, 0] = 1
            # (row, column) to (x, y), in px of the scaled image
            points = torch.as_tensor(
                places[..., ::-1] * self._scale, dtype=torch.float32, device=self._device
            )
            kinds = torch.as_tensor(inside, dtype=torch.int64, device=self._device)
            found += self._masks((points, kinds), None, several=True)
        return found

    def _of_boxes(self, prompts: Prompts, phase: int) -> list[NDArray[np.float32]]:
        own = prompts.boxes[prompts.box_phases == phase]
        found = []
        for start in range(0, len(own), AT_ONCE):
            corners = own[start : start + AT_ONCE][:, [1, 0, 3, 2]] * self._scale
            boxes = torch.as_tensor(corners, dtype=torch.float32, device=self._device)
            # A box is not ambiguous: the model's single mask is made for it.
            found += self._masks(None, boxes, several=False)
        return found

    def _masks(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, *, several: bool
    ) -> list[NDArray[np.float32]]:
        """Logits of the best mask of each prompt, each of shape (H, W)."""
        sam = self._sam
        with torch.inference_mode():
            sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
            masks, quality = sam.mask_decoder(
                image_embeddings=self._coded,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=several,
            )
            best = masks[torch.arange(len(masks), device=masks.device), quality.argmax(1)][:, None]
            full = sam.postprocess_masks(best, self._size, (self.height, self.width))
        return list(full[:, 0].float().cpu().numpy())


def _as_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ModelError(
            f"Segment Anything takes colour images (H, W, 3); this one has the shape {image.shape}."
        )
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    planes = (normalise_image(image) + 1) * 127.5
    return np.ascontiguousarray(np.clip(np.rint(planes), 0, 255).astype(np.uint8).transpose(1, 2, 0))
