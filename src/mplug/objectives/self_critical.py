"""Self-critical sequence training: texts that score better than their rivals become likelier.

Rennie et al., arXiv 1612.00563; the mean of all samples as baseline is mPLUG's, leaving out the
sample itself makes the estimate unbiased (Luo, arXiv 2003.09971).
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Rewards = Float[Tensor, "images samples"]


class SelfCritical(NamedTuple):
    """The loss, and by how much each sample beats its baseline."""

    loss: Float[Tensor, ""]
    advantage: Rewards


def leave_one_out(rewards: Rewards) -> Rewards:
    """The baseline of each sample: the mean reward of the image's other samples.

    Raises:
        ValueError: there is only one sample.
    """
    samples = rewards.shape[1]
    if samples < 2:
        raise ValueError("leaving a sample out needs at least two samples of each image")
    return (rewards.sum(dim=1, keepdim=True) - rewards) / (samples - 1)


def mean_reward(rewards: Rewards) -> Rewards:
    """The baseline of the released mPLUG: the mean reward of the image's samples, itself too."""
    return rewards.mean(dim=1, keepdim=True).expand_as(rewards)


def self_critical(
    log_probability: Float[Tensor, "images samples"], rewards: Rewards, *, baseline: Rewards
) -> SelfCritical:
    """Mean of -log-probability * (reward - baseline); no gradient reaches the rewards.

    `log_probability` is a text's score however the caller normalises it for length.
    """
    advantage = (rewards - baseline).detach()
    return SelfCritical(-(log_probability * advantage).mean(), advantage)


def sequence_log_probability(
    logits: Float[Tensor, "tokens vocab"],
    targets: Int[Tensor, "texts words"],
    *,
    counted: Bool[Tensor, "texts words"],
) -> Float[Tensor, "texts"]:
    """What the model thinks of each text as a whole, by the tokens that count.

    `logits` are those of the tokens that count, text after text.
    """
    said = -F.cross_entropy(logits, targets[counted], reduction="none")
    return said.new_zeros(counted.shape).masked_scatter(counted, said).sum(dim=1)
