"""How pixels and words become vectors, and how positions follow a new resolution."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mplug.nn.batch_norm import BatchNorm
from mplug.nn.dropout import Dropout
from mplug.nn.word_lookup import WordLookup

Tokens = Float[Tensor, "batch patches dim"]


class PatchProjection(nn.Module):
    """One linear map of each square patch; CLIP's has no bias, older ones have."""

    def __init__(self, dim: int, *, patch_size: int, bias: bool = False) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, dim, patch_size, stride=patch_size, bias=bias)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Tokens:
        """Patches in reading order."""
        patches: Tensor = self.convolution(pixels).flatten(2).transpose(1, 2)
        return patches


class ConvolutionStem(nn.Module):
    """Small strided convolutions before the blocks: what little data teaches sooner than patches.

    One 3x3 convolution of stride 2 for each of `channels`, one more of stride 1, and a 1x1 to
    `dim`. Batch normalisation is what makes it quick: with group normalisation, or none, the same
    stem had learned next to nothing when this one named every third object.
    """

    def __init__(self, dim: int, *, channels: Sequence[int]) -> None:
        super().__init__()
        steps = list(zip((3, *channels), (*channels, channels[-1]), strict=True))
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(steps):
            stride = 2 if place < len(channels) else 1
            layers += [
                nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
                BatchNorm(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], dim, 1))

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Tokens:
        """Places of the last feature map in reading order."""
        # Channels last: a fifth less time in training, and the tokens come out in their order.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        places: Tensor = self.layers(pixels).flatten(2).transpose(1, 2)
        return places


def resize_positions(
    positions: Float[Tensor, "old dim"], *, grid: tuple[int, int]
) -> Float[Tensor, "new dim"]:
    """The class position, and the square grid of the others resized to `grid` (rows, columns).

    Bilinear without anti-aliasing, in float32 whatever the dtype, as the released weights expect.
    """
    side = math.isqrt(positions.shape[0] - 1)
    if side * side != positions.shape[0] - 1:
        raise ValueError(f"{positions.shape[0] - 1} patch positions do not form a square grid")
    if grid == (side, side):
        return positions
    square = positions[1:].float().T.reshape(1, -1, side, side)
    resized = F.interpolate(square, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], resized.flatten(2)[0].T.to(positions.dtype)])


class WordEmbeddings(nn.Module):
    """BERT's embeddings: word + position + segment, normalised."""

    def __init__(
        self, dim: int, *, vocab_size: int, max_positions: int, eps: float, dropout: float
    ) -> None:
        super().__init__()
        self.words = WordLookup(vocab_size, dim)
        self.positions = nn.Embedding(max_positions, dim)
        self.segment = nn.Parameter(torch.zeros(dim))
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(
        self, ids: Int[Tensor, "batch words"], *, start: int = 0
    ) -> Float[Tensor, "batch words dim"]:
        """Embeddings of `ids`, whose first stands at position `start`.

        Raises:
            ValueError: the text is longer than the positions learned.
        """
        end = start + ids.shape[1]
        if end > self.positions.num_embeddings:
            raise ValueError(
                f"{end} tokens, but the model has {self.positions.num_embeddings} positions"
            )
        return self.at(ids, torch.arange(start, end, device=ids.device))

    def at(
        self, ids: Int[Tensor, "batch words"], places: Int[Tensor, "words"]
    ) -> Float[Tensor, "batch words dim"]:
        """Embeddings of `ids` at given positions, each of which the caller knows was learned."""
        summed = self.words(ids) + self.positions(places) + self.segment
        embedded: Tensor = self.dropout(self.norm(summed))
        return embedded
