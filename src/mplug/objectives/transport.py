"""Word-region alignment: what it costs to carry a text's words to a picture's regions.

UNITER (arXiv 1909.11740), section 3.2, with the inexact proximal point method for optimal transport
(Xie et al., arXiv 1802.04307).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

STEPS = 50
SHARPNESS = 0.5  # the method's beta: how far one step may move the plan
WEIGHT = 0.1  # of the alignment loss beside the matching loss it is added to

Costs = Float[Tensor, "batch words regions"]


def costs(
    words: Float[Tensor, "batch words dim"], regions: Float[Tensor, "batch regions dim"]
) -> Costs:
    """One minus the cosine between every word and every region."""
    return 1 - F.normalize(words, dim=-1) @ F.normalize(regions, dim=-1).transpose(1, 2)


@torch.no_grad()
def plan(cost: Costs, *, allowed: Bool[Tensor, "batch words regions"], steps: int = STEPS) -> Costs:
    """How much of each word goes to each region: rows share one alike, and so do columns.

    Starts from the words' side and takes a fixed number of steps, which do not converge: both the
    number and the order are part of what the model is trained with.
    """
    word_shares = _shares(allowed.any(dim=2), like=cost)
    region_shares = _shares(allowed.any(dim=1), like=cost)
    kernel = torch.exp(-cost / SHARPNESS) * allowed
    carried, scales = allowed.to(cost.dtype), word_shares
    for _ in range(steps):
        moved = kernel * carried
        region_scales = _divide(region_shares, (scales[:, None] @ moved)[:, 0])
        scales = _divide(word_shares, (moved @ region_scales[..., None])[..., 0])
        carried = scales[..., None] * moved * region_scales[:, None]
    return carried


def transport_distance(
    words: Float[Tensor, "batch words dim"],
    regions: Float[Tensor, "batch regions dim"],
    *,
    text_mask: Bool[Tensor, "batch words"],
    region_mask: Bool[Tensor, "batch regions"],
    steps: int = STEPS,
) -> Float[Tensor, "batch"]:
    """The cost of carrying each text to its picture; the gradient takes the plan as given.

    In float32 at least, also under autocast: rounding would add up over the steps.
    """
    exact = torch.promote_types(words.dtype, torch.float32)
    with torch.autocast(words.device.type, enabled=False):
        cost = costs(words.to(exact), regions.to(exact))
        carried = plan(cost, allowed=text_mask[..., None] & region_mask[:, None], steps=steps)
        return (cost * carried).sum(dim=(1, 2))


def alignment(
    distances: Float[Tensor, "batch"], matched: Bool[Tensor, "batch"]
) -> Float[Tensor, ""]:
    """Matched pairs' distances minus the others', over all pairs.

    A model that cannot tell them apart pays nothing where half of the pairs match; less than
    nothing is what it learns.
    """
    return torch.where(matched, distances, -distances).mean()


def _shares(there: Bool[Tensor, "batch places"], *, like: Tensor) -> Float[Tensor, "batch places"]:
    """One, shared alike among what is there."""
    counts = there.to(like.dtype)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def _divide(
    shares: Float[Tensor, "batch places"], sums: Float[Tensor, "batch places"]
) -> Float[Tensor, "batch places"]:
    """`shares / sums`, and 0 where there is nothing to share."""
    return torch.where(sums > 0, shares / sums.where(sums > 0, 1.0), 0.0)
