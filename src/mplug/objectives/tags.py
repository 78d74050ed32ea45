"""Tags on image tokens: an auxiliary loss that asks some image token to know each caption word.

Not part of the paper. It gives a small model trained from scratch a direct path from words to
places; recipes that use it list it, and results say what it is worth.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def tag_labels(
    ids: Int[Tensor, "batch words"], *, counted: Bool[Tensor, "batch words"], vocab_size: int
) -> Float[Tensor, "batch vocab"]:
    """1 for every vocabulary entry that stands at a counted place of the text."""
    labels = torch.zeros(ids.shape[0], vocab_size, device=ids.device)
    return labels.scatter_add_(1, ids, counted.float()).clamp(max=1.0)


def tag_losses(
    logits: Float[Tensor, "batch patches vocab"], labels: Float[Tensor, "batch vocab"]
) -> Float[Tensor, "batch"]:
    """Binary cross-entropy of the strongest patch for each word, summed over the vocabulary."""
    strongest = logits.amax(dim=1)
    return F.binary_cross_entropy_with_logits(strongest, labels, reduction="none").sum(dim=1)
