"""Decoders to search with: a slow one without a cache, and one that a person can follow."""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from mplug.models.decoder import TextDecoder


@dataclass(frozen=True)
class NoCache:
    """Everything read so far, to be read again."""

    memory: Tensor
    memory_mask: Tensor | None
    ids: Tensor | None = None

    def reorder(self, indices: Tensor) -> Self:
        assert self.ids is not None
        return replace(self, ids=self.ids[indices])

    def select(self, images: Tensor, *, rows: Tensor) -> Self:
        mask = None if self.memory_mask is None else self.memory_mask[images]
        return replace(self.reorder(rows), memory=self.memory[images], memory_mask=mask)


class UncachedDecoder:
    """The slow twin of `TextDecoder`'s steps: all words, and a copy of the memory, every time."""

    def __init__(self, decoder: TextDecoder) -> None:
        self.decoder = decoder

    def start(self, memory: Tensor, memory_mask: Tensor | None = None) -> NoCache:
        return NoCache(memory, memory_mask)

    def step(self, ids: Tensor, cache: NoCache) -> tuple[Tensor, NoCache]:
        ids = ids if cache.ids is None else torch.cat([cache.ids, ids], dim=1)
        times = ids.shape[0] // cache.memory.shape[0]
        memory, mask = cache.memory.repeat_interleave(times, 0), cache.memory_mask
        mask = None if mask is None else mask.repeat_interleave(times, 0)
        logits = self.decoder(ids, None, memory, mask)
        return logits[:, -1], replace(cache, ids=ids)


class TableDecoder:
    """The next word depends on the last alone: `table[last][next]` is its probability."""

    def __init__(self, table: list[list[float]]) -> None:
        self.logits = torch.tensor(table, dtype=torch.float64).log()
        self.steps = 0

    def start(self, memory: Tensor, memory_mask: Tensor | None = None) -> NoCache:
        return NoCache(memory, memory_mask)

    def step(self, ids: Tensor, cache: NoCache) -> tuple[Tensor, NoCache]:
        self.steps += 1
        return self.logits[ids[:, -1]], replace(cache, ids=ids)

    def log_probability(self, ids: list[int]) -> float:
        """Of everything behind the start token."""
        pairs = zip(ids[:-1], ids[1:], strict=True)
        return math.fsum(self.logits[last, word].item() for last, word in pairs)
