"""The image encoder: a vision transformer, CLIP's (mPLUG paper, section 3.1) or the first one."""

import torch
import torch.nn.functional as F
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
        grid = _grid(pixels, patch_size=self.patch_size)
        x = _placed(self.stem(pixels), self.class_embedding, self.positions, grid=grid)
        x = self.input_norm(x)
        for block in self.blocks:
            x = block(x)
        encoded: Tensor = self.output_norm(x)
        return encoded


class PlainVisionTransformer(nn.Module):
    """The first vision transformer, which DeiT, ALBEF and ViLT start from (arXiv 2010.11929).

    Unlike CLIP's, its patches have a bias and no norm before the blocks, and it has exact GELUs.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.patch_size = config.patch_size
        self.stem = PatchProjection(width, patch_size=config.patch_size, bias=True)
        patches = (config.image_size // config.patch_size) ** 2
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(1 + patches, width))
        self.blocks = nn.ModuleList(
            PreNormBlock(
                width,
                num_heads=config.num_heads,
                hidden_dim=config.intermediate_size,
                eps=config.layer_norm_eps,
                dropout=config.dropout,
                activation=F.gelu,
            )
            for _ in range(config.num_layers)
        )
        self.output_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch patches dim"]:
        """The class token, then the patches in reading order; any multiple of the patch size.

        Raises:
            ValueError: the picture's sides are not multiples of the patch size.
        """
        grid = _grid(pixels, patch_size=self.patch_size)
        x = _placed(self.stem(pixels), self.class_embedding, self.positions, grid=grid)
        for block in self.blocks:
            x = block(x)
        encoded: Tensor = self.output_norm(x)
        return encoded


def vision_encoder(config: VisionConfig) -> VisionTransformer | PlainVisionTransformer:
    """The encoder of that kind."""
    return PlainVisionTransformer(config) if config.kind == "plain" else VisionTransformer(config)


def _grid(pixels: Tensor, *, patch_size: int) -> tuple[int, int]:
    height, width = pixels.shape[-2:]
    if height % patch_size or width % patch_size:
        raise ValueError(f"{height} x {width} pixels do not divide into {patch_size} px")
    return height // patch_size, width // patch_size


def _placed(
    patches: Float[Tensor, "batch patches dim"],
    class_embedding: Float[Tensor, "dim"],
    positions: Float[Tensor, "places dim"],
    *,
    grid: tuple[int, int],
) -> Float[Tensor, "batch tokens dim"]:
    """The class token before the patches, with their positions added."""
    first = class_embedding.expand(patches.shape[0], 1, -1)
    return torch.cat([first, patches], dim=1) + resize_positions(positions, grid=grid)
