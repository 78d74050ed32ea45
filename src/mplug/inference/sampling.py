"""Writing by chance: each next token is drawn, the same again for the same seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
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
)


@dataclass(frozen=True)
class Sampling:
    """Draws `best` texts for each image from the likelier part of the distribution.

    Each image has its own seed, so its texts do not depend on the batch around it. `top_k` keeps
    the likeliest tokens, `top_p` the fewest that together hold that share (Holtzman et al.,
    arXiv 1904.09751). Scores are those of the undistorted model.

    Raises:
        ValueError: a number that is out of range, or not one seed for each image.
    """

    seeds: Sequence[int]
    config: GenerationConfig = GenerationConfig()
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")

    def __call__(
        self, decoder: Decoder, cache: Cache, prompt: Prompt, *, end_id: int, best: int = 1
    ) -> list[list[Hypothesis]]:
        """For each row of `prompt`, `best` texts, the best scored first."""
        if len(self.seeds) != prompt.shape[0]:
            raise ValueError(
                f"{len(self.seeds)} seeds for {prompt.shape[0]} prompts: give one each"
            )
        generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        logits, cache = decoder.step(prompt, cache)
        cache = cache.reorder(repeated_rows(len(prompt), times=best, device=prompt.device))
        logits = logits.repeat_interleave(best, dim=0)
        texts = [_Text(row.tolist()) for row in prompt for _ in range(best)]
        for written in range(1, self.config.max_tokens + 1):
            scores = log_probabilities(logits)
            draws = [torch.rand(best, generator=generator) for generator in generators]
            drawing = scores.clone()
            if written <= self.config.min_tokens:
                drawing[:, end_id] = -math.inf
            words = draw(self._narrow(drawing), torch.cat(draws).to(scores.device))
            taken = scores.gather(1, words[:, None])[:, 0]
            for text, word, score in zip(texts, words.tolist(), taken.tolist(), strict=True):
                text.write(word, score, end_id=end_id)
            if written == self.config.max_tokens or all(text.ended for text in texts):
                break
            logits, cache = decoder.step(words[:, None], cache)
        return self._ranked(texts, prompt_length=prompt.shape[1], best=best)

    def _narrow(self, scores: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
        """Log-probabilities to draw from, -inf where `top_k` or `top_p` cuts."""
        scores = scores / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[1]:
            least = scores.topk(self.top_k, dim=1).values[:, -1:]
            scores = scores.masked_fill(scores < least, -math.inf)
        if self.top_p < 1:
            ordered, order = scores.sort(dim=1, descending=True, stable=True)
            shares = ordered.softmax(dim=1)
            # A token stays while those before it have not yet filled the share: one always does.
            cut = shares.cumsum(dim=1) - shares >= self.top_p
            scores = scores.masked_fill(torch.zeros_like(cut).scatter(1, order, cut), -math.inf)
        return scores

    def _ranked(
        self, texts: list["_Text"], *, prompt_length: int, best: int
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each image, best first."""

        def hypothesis(text: "_Text") -> Hypothesis:
            written = len(text.ids) - prompt_length
            penalty = length_penalty(written, exponent=self.config.length_exponent)
            return Hypothesis(text.ids, text.total / penalty)

        scored = [hypothesis(text) for text in texts]
        groups = (scored[first : first + best] for first in range(0, len(scored), best))
        return [sorted(group, key=lambda one: -one.score) for group in groups]


class _Text:
    """One text being drawn."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.total = 0.0
        self.ended = False

    def write(self, word: int, score: float, *, end_id: int) -> None:
        """Add a token, unless the text has ended."""
        if self.ended:
            return
        self.ids.append(word)
        self.total += score
        self.ended = word == end_id


def draw(
    scores: Float[Tensor, "rows vocab"], uniform: Float[Tensor, "rows"]
) -> Int[Tensor, "rows"]:
    """The token at which the cumulated softmax of `scores` passes `uniform` (0 to below 1)."""
    filled = scores.softmax(dim=1).cumsum(dim=1)
    target = uniform.to(filled.dtype) * filled[:, -1]
    return torch.searchsorted(filled, target[:, None], right=True)[:, 0]
