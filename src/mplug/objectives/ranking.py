"""Ranking: the right partner must score above the wrong ones, by a margin.

UNITER's image-text retrieval (arXiv 1909.11740): sigmoid scores, triplet margin, hard negatives.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def triplet(
    right: Float[Tensor, "pairs"], wrong: Float[Tensor, "pairs wrong"], *, margin: float
) -> Float[Tensor, "pairs wrong"]:
    """How far each wrong partner's score comes within `margin` of the right one's; logits in."""
    scores = torch.sigmoid(wrong) - torch.sigmoid(right)[:, None]
    return (scores + margin).clamp(min=0)


def blind_loss(margin: float) -> float:
    """What a model pays a triplet that scores all partners alike."""
    return margin
