"""Beam search in which ended texts are frozen; with one beam it is greedy search."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.inference.generate import (
    Cache,
    Decoder,
    Hypothesis,
    Prompt,
    length_penalty,
    log_probabilities,
    repeated_rows,
    rows_of,
)


@dataclass(frozen=True)
class Beams:
    """The hypotheses of the images still being written; row i of each belongs to `images[i]`."""

    images: Int[Tensor, "images"]
    ids: Int[Tensor, "images beams length"]
    lengths: Int[Tensor, "images beams"]
    totals: Float[Tensor, "images beams"]
    scores: Float[Tensor, "images beams"]
    ended: Bool[Tensor, "images beams"]

    @staticmethod
    def start(prompt: Prompt, *, beams: int, dtype: torch.dtype) -> "Beams":
        """Every hypothesis is the prompt; only the first counts, or all would stay the same."""
        images, words = prompt.shape
        totals = torch.full((images, beams), -math.inf, dtype=dtype, device=prompt.device)
        totals[:, 0] = 0.0
        return Beams(
            images=torch.arange(images, device=prompt.device),
            ids=prompt[:, None].repeat(1, beams, 1),
            lengths=torch.full_like(totals, words, dtype=torch.long),
            totals=totals,
            scores=totals,
            ended=torch.zeros_like(totals, dtype=torch.bool),
        )

    def select(self, kept: Int[Tensor, "kept"]) -> "Beams":
        """Only some images."""
        return Beams(**{name: value[kept] for name, value in vars(self).items()})

    def hypotheses(self, row: int, *, best: int) -> list[Hypothesis]:
        """The best texts of one image, each cut behind its end."""
        order = self.scores[row].argsort(descending=True, stable=True)[:best].tolist()
        return [
            Hypothesis(self.ids[row, place, : self.lengths[row, place]].tolist(), score)
            for place in order
            if (score := self.scores[row, place].item()) > -math.inf
        ]


@dataclass(frozen=True)
class BeamSearch:
    """Keeps the best few texts; an ended one is frozen: it keeps its place and its score.

    An image is done when no text still being written could overtake its `best` ended ones.
    """

    config: GenerationConfig = GenerationConfig()

    def __call__(
        self, decoder: Decoder, cache: Cache, prompt: Prompt, *, end_id: int, best: int = 1
    ) -> list[list[Hypothesis]]:
        """For each row of `prompt`, at most `best` (and `beams`) hypotheses, best first."""
        images, width = prompt.shape[0], self.config.beams
        best = min(best, width)
        results: list[list[Hypothesis]] = [[] for _ in range(images)]
        logits, cache = decoder.step(prompt, cache)
        # The prompt is read once for each image, then its hypotheses part.
        cache = cache.reorder(repeated_rows(images, times=width, device=prompt.device))
        scores = log_probabilities(logits).repeat_interleave(width, dim=0)
        beams = Beams.start(prompt, beams=width, dtype=scores.dtype)
        for written in range(1, self.config.max_tokens + 1):
            beams, origin = self._advance(beams, scores, written=written, end_id=end_id)
            done = self._done(beams, best=best, written=written)
            for row in done.nonzero().flatten().tolist():
                results[int(beams.images[row])] = beams.hypotheses(row, best=best)
            kept = (~done).nonzero().flatten()
            if not len(kept):
                break
            beams, rows = beams.select(kept), rows_of(kept, beams=width)
            cache = cache.select(kept, rows=origin[rows])
            logits, cache = decoder.step(beams.ids[:, :, -1].reshape(-1, 1), cache)
            scores = log_probabilities(logits)
        return results

    def _advance(
        self, beams: Beams, scores: Float[Tensor, "rows vocab"], *, written: int, end_id: int
    ) -> tuple[Beams, Int[Tensor, "rows"]]:
        """The best continuations by one word, and the row that each continues."""
        images, width, length = beams.ids.shape
        # Of one text, no more than `width` words can be chosen, besides an end that comes too soon.
        best, words = scores.topk(min(width + 1, scores.shape[1]), dim=1)
        best, words = (each.reshape(images, width, -1) for each in (best, words))
        totals = beams.totals[:, :, None] + best
        if written <= self.config.min_tokens:
            totals = totals.masked_fill(words == end_id, -math.inf)
        ranks = totals / length_penalty(written, exponent=self.config.length_exponent)
        # An ended text has one continuation: itself, with its old score and one more end token.
        ranks = ranks.masked_fill(beams.ended[:, :, None], -math.inf)
        ranks = torch.cat([torch.where(beams.ended, beams.scores, -math.inf)[:, :, None], ranks], 2)
        words = F.pad(words, (1, 0), value=end_id)
        chosen_scores, chosen = ranks.flatten(1).topk(width, dim=1)
        origin, words = chosen // ranks.shape[2], words.flatten(1).gather(1, chosen)
        was_ended = beams.ended.gather(1, origin)
        texts = beams.ids.gather(1, origin[:, :, None].expand(-1, -1, length))
        grown = Beams(
            images=beams.images,
            ids=torch.cat([texts, words[:, :, None]], dim=2),
            lengths=torch.where(was_ended, beams.lengths.gather(1, origin), length + 1),
            totals=torch.cat([beams.totals[:, :, None], totals], 2).flatten(1).gather(1, chosen),
            scores=chosen_scores,
            ended=was_ended | (words == end_id),
        )
        first_row = torch.arange(images, device=chosen.device)[:, None] * width
        return grown, (first_row + origin).flatten()

    def _done(self, beams: Beams, *, best: int, written: int) -> Bool[Tensor, "images"]:
        """Whether the `best` ended texts are out of reach of those still being written."""
        if written == self.config.max_tokens:
            return torch.ones_like(beams.images, dtype=torch.bool)
        # A total can only fall, while the penalty that divides it may grow to its largest.
        exponent = self.config.length_exponent
        lengths = (written + 1, self.config.max_tokens)
        penalty = max(length_penalty(length, exponent=exponent) for length in lengths)
        reach = (beams.totals / penalty).masked_fill(beams.ended, -math.inf).amax(dim=1)
        ended = beams.scores.masked_fill(~beams.ended, -math.inf).topk(best, dim=1).values[:, -1]
        return beams.ended.all(dim=1) | ((ended >= reach) & (ended > -math.inf))


def greedy(config: GenerationConfig) -> BeamSearch:
    """Always the likeliest next token."""
    return BeamSearch(config.model_copy(update={"beams": 1}))
