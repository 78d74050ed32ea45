"""The released mPLUG's beam search, for reproducing its published numbers.

It keeps extending texts past their end: an ended text that is not the best of its step stays in
the beam, so a list may hold a text and its continuations, with end tokens inside. Use
`BeamSearch` for anything new.
"""

from dataclasses import dataclass

import torch
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

FORBIDDEN = -1e20  # the released value: finite, so a forbidden end can still be ranked


@dataclass(frozen=True)
class ReleasedBeamSearch:
    """The released rule, token for token, over a cache that it did not have."""

    config: GenerationConfig = GenerationConfig()

    def __call__(
        self, decoder: Decoder, cache: Cache, prompt: Prompt, *, end_id: int, best: int = 1
    ) -> list[list[Hypothesis]]:
        """For each row of `prompt`, at most `best` hypotheses, best first."""
        images, width = prompt.shape[0], self.config.beams
        found: list[list[Hypothesis]] = [[] for _ in range(images)]
        logits, cache = decoder.step(prompt, cache)
        cache = cache.reorder(repeated_rows(images, times=width, device=prompt.device))
        scores = log_probabilities(logits).repeat_interleave(width, dim=0)
        totals = torch.full((images, width), -torch.inf, dtype=scores.dtype, device=scores.device)
        totals[:, 0] = 0.0
        ids = prompt[:, None].repeat(1, width, 1)
        alive = torch.arange(images, device=prompt.device)
        for written in range(1, self.config.max_tokens + 1):
            ids, totals, ranks, origin = self._advance(ids, totals, scores, written, end_id=end_id)
            ended = (ids[:, :, -1] == end_id) | (written == self.config.max_tokens)
            done = ended[:, 0]
            for row, image in enumerate(alive.tolist()):
                keep = torch.ones_like(ended[row]) if done[row] else ended[row]
                for place in keep.nonzero().flatten().tolist():
                    found[image].append(
                        Hypothesis(ids[row, place].tolist(), ranks[row, place].item())
                    )
            kept = (~done).nonzero().flatten()
            if not len(kept):
                break
            alive, ids, totals = alive[kept], ids[kept], totals[kept]
            rows = origin[rows_of(kept, beams=width)]
            logits, cache = decoder.step(
                ids[:, :, -1].reshape(-1, 1), cache.select(kept, rows=rows)
            )
            scores = log_probabilities(logits)
        return [sorted(one, key=lambda text: -text.score)[:best] for one in found]

    def _advance(
        self, ids: Tensor, totals: Tensor, scores: Tensor, written: int, *, end_id: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best continuations of all hypotheses, ended or not: ids, totals, scores, origins."""
        images, width, length = ids.shape
        scores = scores.reshape(images, width, -1).clone()
        if written <= self.config.min_tokens:
            scores[:, :, end_id] = FORBIDDEN
        totals = (totals[:, :, None] + scores).flatten(1)
        penalty = length_penalty(written, exponent=self.config.length_exponent)
        ranks, chosen = (totals / penalty).topk(width, dim=1)
        origin, words = chosen // scores.shape[2], chosen % scores.shape[2]
        texts = ids.gather(1, origin[:, :, None].expand(-1, -1, length))
        first_row = torch.arange(images, device=ids.device)[:, None] * width
        return (
            torch.cat([texts, words[:, :, None]], dim=2),
            totals.gather(1, chosen),
            ranks,
            (first_row + origin).flatten(),
        )
