"""Slow twins: the same results by the plain way, for what the fast one saves."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from mplug.models.decoder import TextDecoder
from mplug.models.mplug import MPlug
from mplug.nn.attention import Attention


@dataclass(frozen=True)
class Written:
    """What a decoder without a cache keeps: the words themselves and what it reads."""

    memory: Tensor  # [images, keys, dim]
    memory_mask: Tensor | None
    ids: Tensor  # [rows, words]

    def reorder(self, indices: Tensor) -> Self:
        """The hypotheses at `indices`."""
        return replace(self, ids=self.ids[indices])

    def select(self, images: Tensor, *, rows: Tensor) -> Self:
        """Only some images and their hypotheses."""
        mask = None if self.memory_mask is None else self.memory_mask[images]
        return replace(self, memory=self.memory[images], memory_mask=mask, ids=self.ids[rows])


@dataclass(frozen=True)
class Uncached:
    """Reads all words again at every step, and for each beam its own copy of the image."""

    decoder: TextDecoder

    def start(self, memory: Tensor, memory_mask: Tensor | None = None) -> Written:
        """No words yet."""
        empty = torch.zeros(len(memory), 0, dtype=torch.long, device=memory.device)
        return Written(memory, memory_mask, empty)

    def step(self, ids: Tensor, cache: Written) -> tuple[Tensor, Written]:
        """Logits after the last word, from the whole text."""
        longer = replace(cache, ids=torch.cat([cache.ids, ids], dim=1))
        times = len(ids) // len(cache.memory)
        memory = cache.memory.repeat_interleave(times, dim=0)
        mask = cache.memory_mask
        if mask is not None:
            mask = mask.repeat_interleave(times, dim=0)
        return self.decoder(longer.ids, None, memory, mask)[:, -1], longer


def projecting(model: MPlug) -> MPlug:
    """The model, in place, with attentions that project all they read, however few the queries."""
    for module in model.modules():
        if type(module) is Attention:
            module.__class__ = ProjectingAttention
    return model


class ProjectingAttention(Attention):
    """Keys and values of the whole memory before anything is read."""

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries from `x` over `memory`."""
        return self.read(x, self.project(memory), mask)
