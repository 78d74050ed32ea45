"""Regions of a picture as vectors, in the ways that models before and beside UNITER chose.

Where a region is hidden its features are zeros: what it shows is not seen, where it lies is.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.dropout import Dropout
from mplug.nn.regions import Regions, box_facts

Hidden = Bool[Tensor, "batch regions"] | None
Embedded = Float[Tensor, "batch regions dim"]

CORNERS, CORNERS_AND_AREA, CORNERS_AND_SIDES = 4, 5, 6  # numbers that say where a region lies
WAVE_LENGTHS = 1000.0  # VL-BERT: from one wave to the slowest


def shown(regions: Regions, hidden: Hidden) -> Float[Tensor, "batch regions features"]:
    """The features of regions, zeros where they are hidden."""
    if hidden is None:
        return regions.features
    return regions.features.masked_fill(hidden[..., None], 0.0)


class Whole(NamedTuple):
    """Regions behind one more, which is the whole picture."""

    regions: Regions
    hidden: Hidden


def with_whole(regions: Regions, hidden: Hidden) -> Whole:
    """The mean of what is not hidden, as large as the picture, in front of the regions."""
    features = shown(regions, hidden)
    there = torch.ones_like(features[..., 0], dtype=torch.bool)
    there = there if regions.mask is None else regions.mask
    seen = there if hidden is None else there & ~hidden
    share = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
    mean = torch.einsum("br,brf->bf", share.to(features.dtype), features)
    box = regions.boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(mean), 1, -1)
    first = there.new_ones(len(there), 1)
    whole = Regions(
        torch.cat([mean[:, None], features], dim=1),
        torch.cat([box, regions.boxes], dim=1),
        torch.cat([first, there], dim=1),
    )
    return Whole(whole, None if hidden is None else torch.cat([~first, hidden], dim=1))


class ShownRegions(nn.Module):
    """VisualBERT's: what a region shows, projected; the norm is that of the words.

    Its boxes are not read, so all regions stand at one place.
    """

    def __init__(self, dim: int, *, feature_size: int, norm: nn.LayerNorm, dropout: float) -> None:
        super().__init__()
        self.feature_linear = nn.Linear(feature_size, dim)
        self.segment = nn.Parameter(torch.zeros(dim))
        self.norm = norm
        self.dropout = Dropout(dropout)

    def forward(self, regions: Regions, hidden: Hidden) -> Embedded:
        """Embeddings of regions."""
        projected = self.feature_linear(shown(regions, hidden)) + self.segment
        embedded: Tensor = self.dropout(self.norm(projected))
        return embedded


class PlacedRegions(nn.Module):
    """ViLBERT's: features and box (corners and area) projected, added, normalised."""

    def __init__(self, dim: int, *, feature_size: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.feature_linear = nn.Linear(feature_size, dim)
        self.box_linear = nn.Linear(CORNERS_AND_AREA, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(self, regions: Regions, hidden: Hidden) -> Embedded:
        """Embeddings of regions."""
        facts = box_facts(regions.boxes)
        where = torch.cat([facts[..., :CORNERS], facts[..., -1:]], dim=-1)
        summed = self.feature_linear(shown(regions, hidden)) + self.box_linear(where)
        embedded: Tensor = self.dropout(self.norm(summed))
        return embedded


class AveragedRegions(nn.Module):
    """LXMERT's: features and box (corners), each projected and normalised; their mean."""

    def __init__(self, dim: int, *, feature_size: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.feature_linear = nn.Linear(feature_size, dim)
        self.feature_norm = nn.LayerNorm(dim, eps=eps)
        self.box_linear = nn.Linear(CORNERS, dim)
        self.box_norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(self, regions: Regions, hidden: Hidden) -> Embedded:
        """Embeddings of regions."""
        what = self.feature_norm(self.feature_linear(shown(regions, hidden)))
        where = self.box_norm(self.box_linear(regions.boxes))
        embedded: Tensor = self.dropout((what + where) / 2)
        return embedded


class JoinedRegions(nn.Module):
    """OSCAR's: features and box (corners and sides) as one vector, projected and not normalised."""

    def __init__(self, dim: int, *, feature_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_size + CORNERS_AND_SIDES, dim)
        self.dropout = Dropout(dropout)

    def forward(self, regions: Regions, hidden: Hidden) -> Embedded:
        """Embeddings of regions."""
        where = box_facts(regions.boxes)[..., :CORNERS_AND_SIDES]
        joined = torch.cat([shown(regions, hidden), where], dim=-1)
        embedded: Tensor = self.dropout(self.linear(joined))
        return embedded


class GeometryRegions(nn.Module):
    """VL-BERT's: features beside as many waves that say where a region lies, projected."""

    def __init__(self, dim: int, *, feature_size: int) -> None:
        super().__init__()
        if feature_size % (2 * CORNERS):
            raise ValueError(f"feature_size {feature_size} is not a multiple of {2 * CORNERS}")
        self.linear = nn.Linear(2 * feature_size, dim)

    def forward(self, regions: Regions, hidden: Hidden) -> Embedded:
        """Embeddings of regions."""
        features = shown(regions, hidden)
        placed = waves(regions.boxes, count=features.shape[-1] // CORNERS)
        embedded: Tensor = self.linear(torch.cat([features, placed], dim=-1))
        return embedded


def waves(
    boxes: Float[Tensor, "batch regions 4"], *, count: int
) -> Float[Tensor, "batch regions waves"]:
    """Sines and cosines of every corner, `count` of them for each of its four numbers.

    Waves of many lengths let a linear map tell near places apart, as in a transformer's positions.
    """
    exponents = torch.arange(count // 2, device=boxes.device) / (count // 2)
    angles = 100 * boxes[..., None] * torch.exp(-math.log(WAVE_LENGTHS) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2).to(boxes.dtype)
