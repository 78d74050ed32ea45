"""The auxiliary head that asks image tokens for a caption's telling words; no part of the model."""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.models.initial import NEW_WEIGHT_STD
from mplug.objectives import tags
from mplug.training.distributed import Processes

COMMON_SHARE = 0.1  # a word that more captions hold is not asked for
RARE_WORD_LOGIT = -4.0  # the head starts near the share of captions that hold a telling word


class Tagging(nn.Module):
    """A linear layer from image tokens to words, and which words have been telling so far."""

    def __init__(self, dim: int, *, vocab_size: int, processes: Processes) -> None:
        super().__init__()
        self.head = nn.Linear(dim, vocab_size)
        nn.init.normal_(self.head.weight, std=NEW_WEIGHT_STD)
        nn.init.constant_(self.head.bias, RARE_WORD_LOGIT)
        self.shares = tags.WordShares(vocab_size)
        self.processes = processes

    def forward(
        self,
        image: Float[Tensor, "batch patches dim"],
        ids: Int[Tensor, "batch words"],
        counted: Bool[Tensor, "batch words"],
    ) -> Float[Tensor, "batch"]:
        """Each picture's loss; in training its caption's counted words are taken note of first."""
        labels = tags.tag_labels(ids, counted=counted, vocab_size=self.head.out_features)
        if self.training:
            holding = self.processes.all_sum(labels.sum(dim=0))
            self.shares.count(holding, captions=len(labels) * self.processes.world)
        asked = self.shares.telling(below=COMMON_SHARE)
        logits = F.linear(image, self.head.weight[asked], self.head.bias[asked])
        return tags.tag_losses(logits, labels[:, asked])
