"""Choosing among given answers by what the decoder thinks of each whole answer.

Answers that begin alike are read together up to where they part, and an answer that has ended
costs nothing more, so that a long list costs about one word for each answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.inference.generate import Cache, Decoder, log_probabilities

ROWS = 512  # texts that the decoder reads at once: more would only take more memory

Scores = Float[Tensor, "images kept"]
Words = Int[Tensor, "images kept words"]


class Ranking(NamedTuple):
    """The best answers of each image, best first; probabilities are shares among the kept ones."""

    answers: Int[Tensor, "images kept"]
    probabilities: Scores
    scores: Scores


@runtime_checkable
class AnswerScore(Protocol):
    """How an answer's first word and the rest of it make its score."""

    def __call__(self, first: Scores, rest: Scores) -> Scores:
        """From log-probabilities of the first word, and of all other words summed."""
        ...


@dataclass(frozen=True)
class WholeAnswer:
    """The log-probability of the answer."""

    def __call__(self, first: Scores, rest: Scores) -> Scores:
        """Every word once."""
        return first + rest


WHOLE_ANSWER = WholeAnswer()


@dataclass(frozen=True)
class ReleasedAnswerScore:
    """The released model's rule, which counts the first word twice: for its published numbers."""

    def __call__(self, first: Scores, rest: Scores) -> Scores:
        """The first word, then the whole answer."""
        return first + (first + rest)


def rank_answers(
    decoder: Decoder,
    memory: Float[Tensor, "images keys dim"],
    memory_mask: Bool[Tensor, "images keys"] | None = None,
    *,
    answers: Int[Tensor, "answers words"],
    answers_mask: Bool[Tensor, "answers words"],
    keep: int | None = None,
    score: AnswerScore = WHOLE_ANSWER,
) -> Ranking:
    """Rank `answers` (start token, at least one word, end token, padding on the right).

    `keep` scores only the answers whose first words are likeliest, as long lists need; None
    scores all. The memory is projected once and shared by the answers of an image, and at most
    `ROWS` texts are read at once.

    Raises:
        ValueError: the answers do not all begin with the same start token, or one has no word.
    """
    if not (answers[:, 0] == answers[0, 0]).all() or not answers_mask[:, :2].all():
        raise ValueError("answers must share their start token and have at least one token more")
    images, keep = memory.shape[0], min(keep or len(answers), len(answers))
    order, prefixes = _alphabetical(answers, answers_mask)
    answers, answers_mask = answers[order], answers_mask[order]
    with torch.no_grad():
        start = answers[:1, :1].expand(images, 1)
        logits, cache = decoder.step(start, decoder.start(memory, memory_mask))
        first, kept = log_probabilities(logits)[:, answers[:, 1]].topk(keep, dim=1)
        kept, columns = kept.sort(dim=1)  # so that answers that begin alike are neighbours
        first, rest = first.gather(1, columns), torch.zeros_like(first)
        together = max(1, ROWS // keep)
        for rows in _slices(images, together):
            some = torch.arange(images, device=memory.device)[rows]
            own = cache.select(some, rows=some)
            for part in _slices(keep, max(1, ROWS // len(some))):
                read = kept[rows, part]
                rest[rows, part] = _behind_first(
                    decoder, own, answers[read], answers_mask[read], prefixes[read]
                ).to(rest.dtype)
    scores = score(first, rest)
    ordered, best = scores.sort(dim=1, descending=True, stable=True)
    return Ranking(order[kept.gather(1, best)], ordered.softmax(dim=1), ordered)


def _alphabetical(
    answers: Int[Tensor, "answers words"], mask: Bool[Tensor, "answers words"]
) -> tuple[Int[Tensor, "answers"], Int[Tensor, "answers words"]]:
    """The answers' order; for each, in that order, at each place a number for what it begins with.

    Two answers have the same number where they are the same up to and with that place.
    """
    written = answers.masked_fill(~mask, -1)
    order = torch.arange(len(answers), device=answers.device)
    for place in reversed(range(answers.shape[1])):
        order = order[written[order, place].argsort(stable=True)]
    written = written[order]
    parted = (written[1:] != written[:-1]).long().cummax(dim=1).values
    first = torch.zeros_like(written[:1])
    return order, torch.cat([first, parted]).cumsum(dim=0)


def _behind_first(
    decoder: Decoder,
    cache: Cache,
    words: Words,
    mask: Bool[Tensor, "images kept words"],
    prefixes: Words,
) -> Scores:
    """Log-probabilities of all words behind each answer's first, summed.

    `cache` has read the start token, one row for each image. Every prefix is read once for its
    image: `slots` says at which of the image's rows each answer stands.
    """
    images, kept, length = words.shape
    total = torch.zeros(images, kept, device=words.device)
    slots, width = torch.zeros(images, kept, dtype=torch.long, device=words.device), 1
    columns = torch.arange(kept, device=words.device).expand(images, -1)
    image = torch.arange(images, device=words.device)[:, None]
    for place in range(1, length - 1):
        goes_on = mask[:, :, place + 1]
        new = goes_on.clone()
        same = prefixes[:, 1:, place] == prefixes[:, :-1, place]
        new[:, 1:] &= ~(same & goes_on[:, :-1])
        widest = int(new.sum(dim=1).max())
        if not widest:
            break
        now = (new.cumsum(dim=1) - 1).clamp(min=0)
        # The first answer of each slot; images with fewer slots read their first answer again.
        spare = torch.where(new, now, widest)
        reader = torch.zeros(images, widest + 1, dtype=torch.long, device=words.device)
        reader = reader.scatter(1, spare, columns)[:, :widest]
        cache = cache.reorder((image * width + slots.gather(1, reader)).flatten())
        logits, cache = decoder.step(words[:, :, place].gather(1, reader).reshape(-1, 1), cache)
        slots, width = now, widest
        said = log_probabilities(logits)[image * width + slots, words[:, :, place + 1]]
        total = total + torch.where(goes_on, said, 0.0)
    return total


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
