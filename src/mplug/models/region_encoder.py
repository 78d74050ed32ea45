"""Regions without a detector: boxes described by the patches of any image encoder."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.models.vision import PlainVisionTransformer, VisionTransformer
from mplug.nn.modified_resnet import ModifiedResNet
from mplug.nn.region_pooling import pool_boxes

Patches = Float[Tensor, "batch patches dim"]
Features = npt.NDArray[np.float32]


class RegionEncoder:
    """A frozen image encoder, and what it says of boxes in normalised pictures.

    `patches` maps pixels [batch, 3, height, width] to states of squares in reading order,
    `patch_size` pixels wide; `vision` holds what it needs.
    """

    def __init__(
        self,
        vision: nn.Module,
        patches: Callable[[Tensor], Patches],
        *,
        patch_size: int,
        image_size: int,
    ) -> None:
        self.vision = vision.eval().requires_grad_(False)
        self.patches = patches
        self.patch_size, self.image_size = patch_size, image_size

    @classmethod
    def of(cls, vision: nn.Module, *, image_size: int) -> Self:
        """Of a vision transformer, whose class token is left out, or of a residual network."""
        if isinstance(vision, ModifiedResNet):
            stride = vision.stride
            return cls(vision, vision.grid, patch_size=stride, image_size=image_size)
        assert isinstance(vision, VisionTransformer | PlainVisionTransformer)
        size = vision.patch_size
        return cls(vision, lambda x: vision(x)[:, 1:], patch_size=size, image_size=image_size)

    @torch.no_grad()
    def describe(
        self, pixels: npt.NDArray[np.float32], boxes: Sequence[npt.NDArray[Any]]
    ) -> list[Features]:
        """Features [regions, dim] of each picture's boxes [regions, 4], in shares of the sides."""
        device = next(self.vision.parameters()).device
        patches = self.patches(torch.from_numpy(pixels).to(device))
        grid = (pixels.shape[2] // self.patch_size, pixels.shape[3] // self.patch_size)
        most = max(len(each) for each in boxes)
        padded = np.zeros((len(boxes), most, 4), dtype=np.float32)
        for row, each in zip(padded, boxes, strict=True):
            row[: len(each)] = each
        pooled = pool_boxes(patches, torch.from_numpy(padded).to(device), grid=grid)
        return [
            row[: len(each)].float().cpu().numpy() for row, each in zip(pooled, boxes, strict=True)
        ]

    @property
    def feature_size(self) -> int:
        """How many numbers describe a region."""
        pixels = np.zeros((1, 3, self.patch_size, self.patch_size), dtype=np.float32)
        whole = np.array([[0.0, 0.0, 1.0, 1.0]])
        return int(self.describe(pixels, [whole])[0].shape[1])
