"""The image encoder: a CLIP-style vision transformer (mPLUG paper, section 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.config.schema import VisionConfig
from mplug.nn.block import PreNormBlock
from mplug.nn.embeddings import ConvolutionStem, PatchProjection, resize_positions


class VisionTransformer(nn.Module):
    """Patches and a class token through pre-norm blocks; every token is returned."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.patch_size = config.patch_size
        patches = (config.image_size // config.patch_size) ** 2
        self.stem: nn.Module
        if config.stem == "convolution":
            self.stem = ConvolutionStem(width, channels=config.stem_channels)
        else:
            self.stem = PatchProjection(width, patch_size=config.patch_size)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(1 + patches, width))
        self.input_norm = nn.LayerNorm(width, eps=eps)
        self.blocks = nn.ModuleList(
            PreNormBlock(
                width,
                num_heads=config.num_heads,
                hidden_dim=config.intermediate_size,
                eps=eps,
                dropout=config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self.output_norm = nn.LayerNorm(width, eps=eps)

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch patches dim"]:
        """The class token, then the patches in reading order; any multiple of the patch size.

        Raises:
            ValueError: the picture's sides are not multiples of the patch size.
        """
        height, width = pixels.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"{height} x {width} pixels do not divide into {self.patch_size} px")
        grid = (height // self.patch_size, width // self.patch_size)
        patches = self.stem(pixels)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        x = torch.cat([first, patches], dim=1) + resize_positions(self.positions, grid=grid)
        x = self.input_norm(x)
        for block in self.blocks:
            x = block(x)
        encoded: Tensor = self.output_norm(x)
        return encoded
