"""CLIP's modified ResNet: a deeper stem, strides as average pools, and pooling by attention.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (arXiv
2103.00020), section 2.4; He et al. 2015 for the blocks.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mplug.nn.batch_norm import BatchNorm
from mplug.nn.embeddings import resize_positions

Maps = Float[Tensor, "batch channels height width"]

EXPANSION = 4  # channels that leave a block, for each that it works on


class ConvolutionNorm(nn.Module):
    """A convolution without bias, and the batch normalisation after it."""

    def __init__(self, before: int, after: int, *, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            before, after, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.norm = BatchNorm(after)

    def forward(self, maps: Maps) -> Float[Tensor, "batch after new_height new_width"]:
        """Normalised feature maps."""
        normalised: Tensor = self.norm(self.convolution(maps))
        return normalised


class Bottleneck(nn.Module):
    """A residual block: narrow, look around, widen. Its stride is an average pool."""

    def __init__(self, before: int, width: int, *, stride: int) -> None:
        super().__init__()
        after = width * EXPANSION
        self.narrow = ConvolutionNorm(before, width, kernel=1)
        self.look = ConvolutionNorm(width, width, kernel=3)
        self.pool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.widen = ConvolutionNorm(width, after, kernel=1)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = ConvolutionNorm(before, after, kernel=1)

    def forward(self, maps: Maps) -> Float[Tensor, "batch after new_height new_width"]:
        """Feature maps at the block's stride."""
        inner = F.relu(self.look(F.relu(self.narrow(maps))))
        return F.relu(self.widen(self.pool(inner)) + self.shortcut(self.pool(maps)))


class ModifiedResNet(nn.Module):
    """The trunk: a stem of stride 4 and four stages, the last three of stride 2."""

    stride = 32  # pixels for each place of the last feature map

    def __init__(self, *, width: int, stages: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            [
                ConvolutionNorm(3, width // 2, kernel=3, stride=2),
                ConvolutionNorm(width // 2, width // 2, kernel=3),
                ConvolutionNorm(width // 2, width, kernel=3),
            ]
        )
        self.stages = nn.ModuleList()
        before = width
        for place, blocks in enumerate(stages):
            inner = width * 2**place
            self.stages.append(_stage(before, inner, blocks=blocks, stride=2 if place else 1))
            before = inner * EXPANSION
        self.channels = before

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """The last feature map; sides of any multiple of 32 pixels.

        Raises:
            ValueError: the picture's sides are not multiples of 32.
        """
        height, width = pixels.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height} x {width} pixels do not divide into {self.stride} px")
        maps = pixels.contiguous(memory_format=torch.channels_last)
        for layer in self.stem:
            maps = F.relu(layer(maps))
        maps = F.avg_pool2d(maps, 2)
        for stage in self.stages:
            maps = stage(maps)
        return maps

    def grid(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch places channels"]:
        """The last feature map's places in reading order, as a sequence to attend to."""
        return self(pixels).flatten(2).transpose(1, 2)


def _stage(before: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(before, width, stride=stride)
    rest = (Bottleneck(width * EXPANSION, width, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class AttentionPool(nn.Module):
    """One vector from a feature map: its mean, as a query, reads itself and every place."""

    def __init__(self, dim: int, *, num_heads: int, side: int, output_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.positions = nn.Parameter(torch.zeros(1 + side * side, dim))
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, output_dim)

    def forward(
        self, maps: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch output"]:
        """What the mean reads, projected; positions follow a map of another size."""
        rows, columns = maps.shape[-2:]
        places = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
        tokens = tokens + resize_positions(self.positions, grid=(rows, columns))
        attended = F.scaled_dot_product_attention(
            self._split(self.query(tokens[:, :1])),
            self._split(self.key(tokens)),
            self._split(self.value(tokens)),
        )
        pooled: Tensor = self.output(attended.flatten(1))
        return pooled

    def _split(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        return x.reshape(batch, length, self.num_heads, -1).transpose(1, 2)
