"""Prefix language modelling: a caption is continued from the image and its first words.

mPLUG paper, section 3.3 (after SimVLM): the prefix goes to the text encoder, the decoder writes
the rest. With an empty prefix this is captioning.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


class PrefixSplit(NamedTuple):
    """A caption cut in two: `[CLS] prefix` to be read, `[CLS] rest [SEP]` to be written."""

    prefix: Int[Tensor, "batch prefix"]
    prefix_mask: Bool[Tensor, "batch prefix"]
    rest: Int[Tensor, "batch rest"]
    rest_mask: Bool[Tensor, "batch rest"]
    empty: Bool[Tensor, "batch"]


def split_lengths(
    words: Int[Tensor, "batch"], *, empty_share: float, uniforms: Float[Tensor, "batch 2"]
) -> Int[Tensor, "batch"]:
    """How many of a caption's words are its prefix: none with `empty_share`, else 1..words-1.

    At least one word is left to write; a caption of one word has no prefix.
    """
    lengths = 1 + (uniforms[:, 1] * (words - 1)).long()
    wants_none = (uniforms[:, 0] < empty_share) | (words < 2)
    return torch.where(wants_none, 0, lengths)


def split(
    ids: Int[Tensor, "batch words"],
    mask: Bool[Tensor, "batch words"],
    *,
    prefix_words: Int[Tensor, "batch"],
    pad_id: int,
) -> PrefixSplit:
    """Cut `[CLS] words [SEP]` after `prefix_words` words; the rest begins again with [CLS]."""
    places = torch.arange(ids.shape[1], device=ids.device)
    prefix_mask = places <= prefix_words[:, None]
    rest_places = places + torch.where(places > 0, prefix_words[:, None], 0)
    inside = rest_places < mask.sum(dim=1, keepdim=True)
    rest = ids.gather(1, rest_places.clamp(max=ids.shape[1] - 1))
    longest_prefix = int(prefix_words.max()) + 1
    longest_rest = int(inside.sum(dim=1).max())
    return PrefixSplit(
        ids.masked_fill(~prefix_mask, pad_id)[:, :longest_prefix],
        prefix_mask[:, :longest_prefix],
        rest.masked_fill(~inside, pad_id)[:, :longest_rest],
        inside[:, :longest_rest],
        prefix_words == 0,
    )


def next_word_losses(
    logits: Float[Tensor, "words vocab"],
    targets: Int[Tensor, "words"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, "words"]:
    """Cross-entropy of each word to be written."""
    return F.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
