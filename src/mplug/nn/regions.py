"""How regions of a picture become vectors: what a region shows, and where it lies.

UNITER (Chen et al., arXiv 1909.11740), section 3.1.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.dropout import Dropout

BOX_FACTS = 7  # x1, y1, x2, y2, width, height, area


class Regions(NamedTuple):
    """Regions of each picture: what they show, where they lie, and which are there."""

    features: Float[Tensor, "batch regions features"]
    boxes: Float[Tensor, "batch regions 4"]  # x1, y1, x2, y2 as shares of the picture's sides
    mask: Bool[Tensor, "batch regions"] | None = None  # True at a region; None: no padding


def box_facts(boxes: Float[Tensor, "*places 4"]) -> Float[Tensor, "*places 7"]:
    """Corners, width, height and area of boxes given by their corners x1, y1, x2, y2."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([boxes, sides, sides.prod(dim=-1, keepdim=True)], dim=-1)


class RegionEmbeddings(nn.Module):
    """UNITER's: the features and the box, each projected and normalised, and the segment."""

    def __init__(self, dim: int, *, feature_size: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.feature_linear = nn.Linear(feature_size, dim)
        self.feature_norm = nn.LayerNorm(dim, eps=eps)
        self.box_linear = nn.Linear(BOX_FACTS, dim)
        self.box_norm = nn.LayerNorm(dim, eps=eps)
        self.hidden_feature = nn.Parameter(torch.zeros(feature_size))
        self.segment = nn.Parameter(torch.zeros(dim))
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        regions: Regions,
        *,
        hidden: Bool[Tensor, "batch regions"] | None = None,
        segment: Float[Tensor, "dim"] | None = None,
    ) -> Float[Tensor, "batch regions dim"]:
        """Embeddings of `regions`; where `hidden`, what they show is withheld, not where they lie.

        `segment` stands in for this part's own, as that of a second picture.
        """
        features = regions.features
        if hidden is not None:
            features = torch.where(hidden[..., None], self.hidden_feature, features)
        shown = self.feature_norm(self.feature_linear(features))
        placed = self.box_norm(self.box_linear(box_facts(regions.boxes)))
        summed = shown + placed + (self.segment if segment is None else segment)
        embedded: Tensor = self.dropout(self.norm(summed))
        return embedded
