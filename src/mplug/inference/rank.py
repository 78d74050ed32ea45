"""Choosing among given answers by what the decoder thinks of each whole answer."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.inference.generate import Decoder, log_probabilities, repeated_rows

Scores = Float[Tensor, "images kept"]


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
    scores all. The memory is projected once and shared by the answers of an image.

    Raises:
        ValueError: the answers do not all begin with the same start token, or one has no word.
    """
    if not (answers[:, 0] == answers[0, 0]).all() or not answers_mask[:, :2].all():
        raise ValueError("answers must share their start token and have at least one token more")
    images, keep = memory.shape[0], min(keep or len(answers), len(answers))
    with torch.no_grad():
        start = answers[:1, :1].expand(images, 1)
        logits, cache = decoder.step(start, decoder.start(memory, memory_mask))
        first, kept = log_probabilities(logits)[:, answers[:, 1]].topk(keep, dim=1)
        cache = cache.reorder(repeated_rows(images, times=keep, device=memory.device))
        words, mask = answers[kept.flatten()], answers_mask[kept.flatten()]
        rest = torch.zeros_like(first).flatten()
        for place in range(1, answers.shape[1] - 1):
            logits, cache = decoder.step(words[:, place : place + 1], cache)
            said = log_probabilities(logits).gather(1, words[:, place + 1, None])[:, 0]
            rest = rest + torch.where(mask[:, place + 1], said, 0.0)
        scores = score(first, rest.reshape(images, keep))
    ordered, order = scores.sort(dim=1, descending=True, stable=True)
    return Ranking(kept.gather(1, order), ordered.softmax(dim=1), ordered)
