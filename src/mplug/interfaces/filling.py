"""Texts with holes, `a red [MASK]`, and the words that a model puts there."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mplug.data.text import clean_caption
from mplug.data.tokenizer import MASK, Tokenizer
from mplug.errors import DataError


def holed_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """`[CLS] words [SEP]` with a mask for each hole; each stands for one piece of a word.

    Raises:
        DataError: the text has no hole.
    """
    first, *others = text.split(MASK)
    if not others:
        raise DataError(f"{text[:60]!r} has no {MASK}: write it where a word is to be filled in")
    ids = tokenizer.encode(clean_caption(first))
    for part in others:
        ids += [tokenizer.mask_id, *tokenizer.encode(clean_caption(part))]
    return [tokenizer.cls_id, *ids, tokenizer.sep_id]


def likeliest(tokenizer: Tokenizer, logits: Tensor, *, best: int) -> list[dict[str, float]]:
    """For each row of `logits` [holes, vocab] the `best` pieces with their probabilities."""
    kept = logits.float().clone()
    unwritten = [*tokenizer.special_ids, *range(tokenizer.vocab_size, logits.shape[1])]
    kept[:, unwritten] = -torch.inf
    chances, ids = kept.softmax(dim=1).topk(min(best, tokenizer.vocab_size), dim=1)
    return [
        {tokenizer.decode([piece]): chance for piece, chance in zip(row, shares, strict=True)}
        for row, shares in zip(ids.tolist(), chances.tolist(), strict=True)
    ]


def by_text(counts: Sequence[int], found: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """What fills the holes of each text, of which each has so many."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    return [found[end - count : end] for count, end in zip(counts, ends, strict=True)]
