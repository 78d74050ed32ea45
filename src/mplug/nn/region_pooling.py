"""What an image encoder's patches say of a box: their mean, as far as each lies inside."""

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST = 1e-6  # shares of a side: a box without area is the patch it lies in


def pool_boxes(
    patches: Float[Tensor, "batch patches dim"],
    boxes: Float[Tensor, "batch regions 4"],
    *,
    grid: tuple[int, int],
) -> Float[Tensor, "batch regions dim"]:
    """The mean of the patches in each box, weighted by the area that each has in common with it.

    Patches are in reading order over `grid` (rows, columns); boxes are x0, y0, x1, y1 in shares
    of the picture's sides.
    """
    rows, columns = grid
    across = _overlap(boxes[..., 0], boxes[..., 2], columns)
    down = _overlap(boxes[..., 1], boxes[..., 3], rows)
    weights = (down[..., :, None] * across[..., None, :]).flatten(2)
    weights = weights / weights.sum(dim=2, keepdim=True)
    return weights.to(patches.dtype) @ patches


def _overlap(
    start: Float[Tensor, "batch regions"], end: Float[Tensor, "batch regions"], cells: int
) -> Float[Tensor, "batch regions cells"]:
    """How much of each of `cells` equal parts of a side lies between start and end."""
    start = start.clamp(0, 1 - SMALLEST)
    end = torch.maximum(end, start + SMALLEST)
    edges = torch.linspace(0, 1, cells + 1, device=start.device)
    low = torch.maximum(start[..., None], edges[:-1])
    high = torch.minimum(end[..., None], edges[1:])
    return (high - low).clamp(min=0)
