"""Image-text matching, against the most confusing wrong partner in the batch.

mPLUG paper, section 3.3 (after ALBEF): negatives are drawn from the contrastive similarities.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Negatives(NamedTuple):
    """One drawn candidate for each row; rows without any allowed candidate are not valid."""

    indices: Int[Tensor, "batch"]
    valid: Bool[Tensor, "batch"]
    entropy: Float[Tensor, "batch"]


def hard_negatives(
    scores: Float[Tensor, "batch bank"],
    *,
    forbidden: Bool[Tensor, "batch bank"],
    uniforms: Float[Tensor, "batch"],
    hardness: float = 1.0,
) -> Negatives:
    """Draw one candidate a row with probability softmax(hardness * scores), never a forbidden one.

    `uniforms` in [0, 1) are the draw: the same numbers give the same negatives on any device and
    any number of processes. The entropy (nats) says how hard the choice is: 0 where one candidate
    is certain, log(candidates) where all look alike. With `hardness` 0 all are equally likely: a
    model from scratch cannot start from hard negatives alone, which differ from the truth in little
    that it knows.
    """
    sharpened = hardness * scores.detach().float()
    probability = sharpened.masked_fill(forbidden, -torch.inf).softmax(dim=1)
    valid = ~forbidden.all(dim=1)
    probability = torch.where(valid[:, None], probability, 0.0)
    reached = probability.cumsum(dim=1)
    drawn = (reached > uniforms[:, None] * reached[:, -1:]) & (probability > 0)
    entropy = torch.special.entr(probability).sum(dim=1)
    return Negatives(drawn.int().argmax(dim=1), valid, entropy)  # argmax: the first that is drawn


def labels(
    image_is_valid: Bool[Tensor, "batch"], text_is_valid: Bool[Tensor, "batch"]
) -> Int[Tensor, "pairs"]:
    """Labels of the batch's pairs, then wrong images, then wrong texts; -100 = no negative."""
    matched = torch.ones_like(image_is_valid, dtype=torch.long)
    wrong = (torch.where(valid, 0, -100) for valid in (image_is_valid, text_is_valid))
    return torch.cat([matched, *wrong])


def matching(
    logits: Float[Tensor, "pairs 2"], labels: Int[Tensor, "pairs"]
) -> Float[Tensor, "pairs"]:
    """Cross-entropy of each pair; label 1 = belongs together, -100 = not counted."""
    return F.cross_entropy(logits, labels, reduction="none", ignore_index=-100)


def blind_loss(matched_share: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """What a model pays that only knows which share of the counted pairs belongs together."""
    return torch.special.entr(torch.stack([matched_share, 1 - matched_share])).sum()
