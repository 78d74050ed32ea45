"""Masked language modelling: words hidden from the text are read off the image and the rest.

BERT's corruption (Devlin et al. 2018); distillation from a momentum teacher as in ALBEF, over the
vocabulary.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


class MaskedWords(NamedTuple):
    """Corrupted ids, and where a word is asked for."""

    ids: Int[Tensor, "batch words"]
    asked: Bool[Tensor, "batch words"]


def mask_words(
    ids: Int[Tensor, "batch words"],
    *,
    maskable: Bool[Tensor, "batch words"],
    share: float,
    mask_id: int,
    replacements: Int[Tensor, "ordinary"],
    uniforms: Float[Tensor, "batch words 3"],
) -> MaskedWords:
    """Ask for `share` of the maskable words; of those 80% are masked, 10% replaced, 10% kept.

    `replacements` are the ids a random word may be (no special token); `uniforms` in [0, 1) are
    the draws: which words, what becomes of them, which replacement.
    """
    asked = maskable & (uniforms[..., 0] < share)
    fate, choice = uniforms[..., 1], uniforms[..., 2]
    random_words = replacements[(choice * len(replacements)).long()]
    corrupted = torch.where(asked & (fate < 0.8), mask_id, ids)
    corrupted = torch.where(asked & (fate >= 0.9), random_words, corrupted)
    return MaskedWords(corrupted, asked)


def word_losses(
    logits: Float[Tensor, "asked vocab"], words: Int[Tensor, "asked"]
) -> Float[Tensor, "asked"]:
    """Cross-entropy of each asked word."""
    return F.cross_entropy(logits, words, reduction="none")


def distilled_word_losses(
    logits: Float[Tensor, "asked vocab"],
    words: Int[Tensor, "asked"],
    *,
    teacher_logits: Float[Tensor, "asked vocab"],
    share: float | Float[Tensor, ""],
) -> Float[Tensor, "asked"]:
    """Cross-entropy against the word, and with `share` against the teacher's distribution."""
    log_probability = logits.log_softmax(dim=-1)
    word = F.nll_loss(log_probability, words, reduction="none")
    taught = -(teacher_logits.softmax(dim=-1) * log_probability).sum(dim=-1)
    return (1 - share) * word + share * taught
