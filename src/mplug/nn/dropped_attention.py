"""Attention with dropout where no fused kernel knows it: on CPUs.

The plain way keeps the probabilities, the draws as floats and the product of both for the backward
pass. Here one byte a draw is kept, and the rest is made again: it is large, and little arithmetic.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Heads = Float[Tensor, "batch heads places head_dim"]


def dropped_attention(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch heads keys head_dim"],
    value: Float[Tensor, "batch heads keys head_dim"],
    mask: Bool[Tensor, "batch #heads #queries keys"] | None,
    *,
    dropout: float,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """What `scaled_dot_product_attention` returns, with the same draws."""
    read: Tensor = _DroppedAttention.apply(query, key, value, mask, dropout)  # type: ignore[no-untyped-call]
    return read


def _probability(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores.masked_fill_(~mask, -torch.inf)
    probability = scores.softmax(dim=-1)
    # Whoever may look nowhere reads nothing.
    return probability if mask is None else probability.masked_fill_(~mask, 0.0)


class _DroppedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
    ) -> Tensor:
        # Sublayers give one dtype; autocast would only take turns with the softmax.
        with torch.autocast(query.device.type, enabled=False):
            probability = _probability(query, key, mask)
            kept = torch.empty_like(probability, dtype=torch.bool).bernoulli_(1 - dropout)
            ctx.save_for_backward(query, key, value, mask, kept)
            ctx.dropout = dropout
            return (probability * kept).mul_(1 / (1 - dropout)) @ value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, kept = ctx.saved_tensors
        probability = _probability(query, key, mask)
        (gradient,), scale = gradients, 1 / (1 - ctx.dropout)
        dropped = (probability * kept).mul_(scale)
        value_gradient = dropped.transpose(-1, -2) @ gradient
        of_probability = (gradient @ value.transpose(-1, -2)).mul_(kept).mul_(scale)
        of_scores = torch._softmax_backward_data(of_probability, probability, -1, probability.dtype)
        of_scores.mul_(query.shape[-1] ** -0.5)
        query_gradient = of_scores @ key
        key_gradient = of_scores.transpose(-1, -2) @ query
        return query_gradient, key_gradient, value_gradient, None, None
