"""Attention with dropout where no fused kernel knows it: on CPUs.

The plain way keeps the probabilities, the draws as floats and the product of both for the backward
pass. Here one byte a draw is kept, and the rest is made again: it is large, and little arithmetic.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DRAWS = 4  # of 16 bits in a random number
Heads = Float[Tensor, "batch heads places head_dim"]


def dropped_attention(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch heads keys head_dim"],
    value: Float[Tensor, "batch heads keys head_dim"],
    mask: Bool[Tensor, "batch #heads #queries keys"] | None,
    *,
    dropout: float,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """What `scaled_dot_product_attention` returns on a CPU."""
    read: Tensor = _DroppedAttention.apply(query, key, value, mask, dropout)  # type: ignore[no-untyped-call]
    return read


def _probability(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores.masked_fill_(~mask, -torch.inf)
    probability = scores.softmax(dim=-1)
    # Whoever may look nowhere reads nothing.
    return probability if mask is None else probability.masked_fill_(~mask, 0.0)


def kept_places(shape: torch.Size, *, dropout: float) -> Bool[Tensor, "..."]:
    """Draws on the CPU that are True with probability 1 - `dropout`, to the nearest of 65,536ths.

    A random number of 64 bits serves four draws; `bernoulli_` spends one on each, one by one, and
    took a twelfth of a step.
    """
    count = shape.numel()
    numbers = torch.empty((count + DRAWS - 1) // DRAWS, dtype=torch.int64)
    draws = numbers.random_(-(2**63), None).view(torch.int16)[:count].view(shape)
    return draws < 2**15 - round(dropout * 2**16)


def _as_numbers(kept: Tensor) -> Tensor:
    """0 and 1: torch multiplies by them twice as fast as by truth values."""
    return kept.view(torch.int8)


class _DroppedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
    ) -> Tensor:
        # Sublayers give one dtype; autocast would only take turns with the softmax.
        with torch.autocast(query.device.type, enabled=False):
            probability = _probability(query, key, mask)
            kept = kept_places(probability.shape, dropout=dropout)
            ctx.save_for_backward(query, key, value, mask, kept)
            ctx.dropout = dropout
            # What is kept is scaled up: on the values' side, which is smaller.
            return probability.mul_(_as_numbers(kept)) @ (value / (1 - dropout))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, kept = ctx.saved_tensors
        probability = _probability(query, key, mask)
        gradient, numbers = gradients[0] / (1 - ctx.dropout), _as_numbers(kept)
        value_gradient = (probability * numbers).transpose(-1, -2) @ gradient
        of_probability = (gradient @ value.transpose(-1, -2)).mul_(numbers)
        of_scores = torch._softmax_backward_data(of_probability, probability, -1, probability.dtype)
        of_scores.mul_(query.shape[-1] ** -0.5)
        query_gradient = of_scores @ key
        key_gradient = of_scores.transpose(-1, -2) @ query
        return query_gradient, key_gradient, value_gradient, None, None
