"""Boxes: their formats, how far two are apart, and the four tokens that say one.

Coordinates are shares of the image's sides. GIoU: Rezatofighi et al., arXiv 1902.09630.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Boxes = Float[Tensor, "*batch 4"]  # centre x, centre y, width, height
Corners = Float[Tensor, "*batch 4"]  # left, top, right, bottom

EPSILON = 1e-5  # keeps the ratios of empty boxes finite
LARGEST_DISTANCE = 5.0  # a distance counts no more than this


class BoxLoss(NamedTuple):
    """The loss, and its factors: cross-entropy and weight of every coordinate."""

    loss: Float[Tensor, ""]
    coordinates: Float[Tensor, "batch 4"]
    weights: Float[Tensor, "batch 4"]


def to_corners(boxes: Boxes) -> Corners:
    """Centre and size to corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def to_centres(corners: Corners) -> Boxes:
    """Corners to centre and size."""
    low, high = corners[..., :2], corners[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def generalised_iou(first: Corners, second: Corners) -> Float[Tensor, "*batch"]:
    """Overlap of each pair, less the empty share of the box around both: 1 = same, above -1."""
    overlap = _area(
        torch.maximum(first[..., :2], second[..., :2]),
        torch.minimum(first[..., 2:], second[..., 2:]),
    )
    union = (
        _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - overlap
    )
    hull = _area(
        torch.minimum(first[..., :2], second[..., :2]),
        torch.maximum(first[..., 2:], second[..., 2:]),
    )
    return overlap / (union + EPSILON) - (hull - union) / (hull + EPSILON)


def _area(low: Float[Tensor, "*batch 2"], high: Float[Tensor, "*batch 2"]) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=-1)


def to_bins(boxes: Boxes, *, bins: int) -> Int[Tensor, "*batch 4"]:
    """The number of each coordinate's bin, 0 for 0 and bins - 1 for 1; rounds down."""
    return (boxes.clamp(0, 1) * (bins - 1)).floor().long()


def from_bins(places: Int[Tensor, "*batch 4"], *, bins: int, dtype: torch.dtype) -> Boxes:
    """The lower edge of each coordinate's bin."""
    return places.to(dtype) / (bins - 1)


def box_weights(predicted: Boxes, target: Boxes, *, floor: float = 0.0) -> Float[Tensor, "batch 4"]:
    """How much each coordinate counts: its distance times the boxes' disagreement (1 - GIoU).

    At least `floor`, or a coordinate that is right would teach nothing. No gradient passes.
    """
    distance = (predicted - target).abs().clamp(max=LARGEST_DISTANCE)
    disagreement = 1 - generalised_iou(to_corners(predicted), to_corners(target))
    return (distance * disagreement[..., None]).clamp(min=floor).detach()


def box_loss(
    logits: Float[Tensor, "batch 4 bins"], target: Boxes, *, floor: float = 0.1
) -> BoxLoss:
    """Cross-entropy of each coordinate's bin, weighted by how wrong the likeliest box is."""
    bins = logits.shape[-1]
    wanted = to_bins(target, bins=bins)
    coordinates = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    predicted = from_bins(logits.argmax(dim=-1), bins=bins, dtype=target.dtype)
    weights = box_weights(predicted, target, floor=floor)
    return BoxLoss((coordinates * weights).mean(), coordinates, weights)
