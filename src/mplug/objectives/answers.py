"""Answers with weights: a question has several, each as right as the share that gave it.

mPLUG's visual question answering (after ALBEF): summed token losses, weighted, over the images.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.objectives.masked_lm import distilled_word_losses
from mplug.objectives.prefix_lm import next_word_losses

TokenLosses = Float[Tensor, "answers words"]


class AnswerLoss(NamedTuple):
    """The loss, and what each answer costs before it is weighted."""

    loss: Float[Tensor, ""]
    per_answer: Float[Tensor, "answers"]


def answer_loss(
    token_losses: TokenLosses, *, weights: Float[Tensor, "answers"], images: int
) -> AnswerLoss:
    """Summed token losses of each answer, weighted, summed and divided by the images."""
    per_answer = token_losses.sum(dim=1)
    return AnswerLoss((weights * per_answer).sum() / images, per_answer)


def token_losses(
    logits: Float[Tensor, "answers words vocab"], targets: Int[Tensor, "answers words"]
) -> TokenLosses:
    """Cross-entropy of each token; 0 where the target is -100 (padding)."""
    wanted = targets >= 0
    return _laid_out(next_word_losses(logits[wanted], targets[wanted]), wanted)


def distilled_token_losses(
    logits: Float[Tensor, "answers words vocab"],
    targets: Int[Tensor, "answers words"],
    *,
    teacher_logits: Float[Tensor, "answers words vocab"],
    share: float,
) -> TokenLosses:
    """Cross-entropy against each token, and with `share` against the teacher's distribution."""
    wanted = targets >= 0
    losses = distilled_word_losses(
        logits[wanted], targets[wanted], teacher_logits=teacher_logits[wanted], share=share
    )
    return _laid_out(losses, wanted)


def _laid_out(
    losses: Float[Tensor, "tokens"], wanted: Bool[Tensor, "answers words"]
) -> TokenLosses:
    """Losses of the wanted tokens, back at their places."""
    return losses.new_zeros(wanted.shape).masked_scatter(wanted, losses)
