"""Dropout that costs a CPU little: four draws a random number, and a byte a draw for the way back.

The plain way draws each number alone, one by one, makes floats of them and keeps those.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

DRAWS = 4  # of 16 bits in a random number


class Dropout(nn.Dropout):
    """`nn.Dropout`; on a CPU its probability is met to the nearest of 65,536ths."""

    def forward(self, x: Float[Tensor, "*places"]) -> Float[Tensor, "*places"]:
        """`x` with some of its numbers zero and the others scaled up; `x` itself in evaluation."""
        if self.training and 0 < self.p < 1 and x.device.type == "cpu":
            dropped: Tensor = _Dropped.apply(x, self.p)  # type: ignore[no-untyped-call]
            return dropped
        return super().forward(x)


def kept_places(shape: torch.Size, *, dropout: float) -> Bool[Tensor, "..."]:
    """Draws on the CPU that are True with probability 1 - `dropout`, to the nearest of 65,536ths.

    A random number of 64 bits serves four draws; `bernoulli_` spends one on each, one by one, and
    took a twelfth of a step.
    """
    count = shape.numel()
    numbers = torch.empty((count + DRAWS - 1) // DRAWS, dtype=torch.int64)
    draws = numbers.random_(-(2**63), None).view(torch.int16)[:count].view(shape)
    return draws < 2**15 - round(dropout * 2**16)


def as_numbers(kept: Bool[Tensor, "..."]) -> Tensor:
    """0 and 1: torch multiplies by them twice as fast as by truth values."""
    return kept.view(torch.int8)


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropout: float) -> Tensor:
        kept = kept_places(x.shape, dropout=dropout)
        ctx.save_for_backward(kept)
        ctx.dropout = dropout
        return (x * as_numbers(kept)).div_(1 - dropout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (gradients[0] * as_numbers(kept)).div_(1 - ctx.dropout), None
