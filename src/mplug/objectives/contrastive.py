"""Image-text contrastive learning: a matching pair should be closer than any other pair.

mPLUG paper, section 3.3 (after MoCo and ALBEF): candidates are a momentum teacher's features of
this batch and of a queue, targets are softened by the teacher's own similarities.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Rows = Float[Tensor, "batch bank"]


def positives(
    image_ids: Int[Tensor, "batch"],
    caption_ids: Int[Tensor, "batch"],
    *,
    bank_image_ids: Int[Tensor, "bank"],
    bank_caption_ids: Int[Tensor, "bank"],
) -> Bool[Tensor, "batch bank"]:
    """True where a candidate shows the same image or says the same caption."""
    same_image = image_ids[:, None] == bank_image_ids
    return same_image | (caption_ids[:, None] == bank_caption_ids)


def equal_shares(positive: Bool[Tensor, "batch bank"]) -> Rows:
    """Targets that split one among the positives of each row."""
    shares = positive.float()
    return shares / shares.sum(dim=1, keepdim=True)


def soften(targets: Rows, *, teacher_similarity: Rows, share: float | Float[Tensor, ""]) -> Rows:
    """Targets, with `share` of them handed to what the teacher finds similar."""
    return share * teacher_similarity.softmax(dim=1) + (1 - share) * targets


def similarity(
    queries: Float[Tensor, "batch embed"],
    bank: Float[Tensor, "bank embed"],
    *,
    temperature: Float[Tensor, ""],
) -> Rows:
    """Cosines of unit vectors, over the temperature.

    In float32 at least, also under autocast: a small temperature magnifies what rounding leaves.
    """
    exact = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        return queries.to(exact) @ bank.to(exact).T / temperature


def contrastive(
    image_to_text: Rows, text_to_image: Rows, *, text_targets: Rows, image_targets: Rows
) -> Float[Tensor, ""]:
    """Mean cross-entropy both ways; row i of `text_targets` says which texts belong to image i."""
    image_loss = F.cross_entropy(image_to_text, text_targets)
    text_loss = F.cross_entropy(text_to_image, image_targets)
    return (image_loss + text_loss) / 2


def accuracy(scores: Rows, positive: Bool[Tensor, "batch bank"]) -> Float[Tensor, ""]:
    """The share of rows whose best candidate is a positive one."""
    best = scores.argmax(dim=1, keepdim=True)
    return positive.gather(1, best).float().mean()


def blind_loss(candidates: Int[Tensor, ""]) -> Float[Tensor, ""]:
    """What a model pays that cannot tell so many candidates apart.

    Places of a queue that were never filled are none: anyone can tell noise from features.
    """
    return candidates.float().log()


def clamp_temperature(temperature: Tensor, *, low: float = 0.001, high: float = 0.5) -> None:
    """Keep a learned temperature in bounds, in place (ALBEF's bounds)."""
    with torch.no_grad():
        temperature.clamp_(low, high)
