"""Tags on image tokens: an auxiliary loss that asks some image token to know each caption word.

Not part of the paper. It gives a small model trained from scratch a direct path from words to
places; recipes that use it list it, and results say what it is worth. Only words that few captions
hold are asked for: articles and the like say nothing of the picture, and drown those that do.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class WordShares(nn.Module):
    """Which share of the captions seen so far holds each word."""

    holding: Float[Tensor, "vocab"]
    captions: Float[Tensor, ""]

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.register_buffer("holding", torch.zeros(vocab_size))
        self.register_buffer("captions", torch.tensor(0.0))

    @torch.no_grad()
    def count(self, holding: Float[Tensor, "vocab"], *, captions: int) -> None:
        """Take in more captions, `holding` of which have each word."""
        self.holding += holding
        self.captions += captions

    def telling(self, *, below: float) -> Bool[Tensor, "vocab"]:
        """Words that some captions hold, but less than this share of them.

        A vocabulary's other words would each push all pictures' features the same way.
        """
        return (self.holding > 0) & (self.holding < below * self.captions)


def tag_labels(
    ids: Int[Tensor, "batch words"], *, counted: Bool[Tensor, "batch words"], vocab_size: int
) -> Float[Tensor, "batch vocab"]:
    """1 for every vocabulary entry that stands at a counted place of the text."""
    labels = torch.zeros(ids.shape[0], vocab_size, device=ids.device)
    return labels.scatter_add_(1, ids, counted.float()).clamp(max=1.0)


def tag_losses(
    logits: Float[Tensor, "batch patches asked"], labels: Float[Tensor, "batch asked"]
) -> Float[Tensor, "batch"]:
    """Binary cross-entropy of the strongest patch for each word, summed over the words asked."""
    strongest = logits.amax(dim=1)
    return F.binary_cross_entropy_with_logits(strongest, labels, reduction="none").sum(dim=1)
