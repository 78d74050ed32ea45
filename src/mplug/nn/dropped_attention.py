"""Attention with dropout where no fused kernel knows it: on CPUs.

The plain way keeps the probabilities, the draws as floats and the product of both for the backward
pass. Here one byte a draw is kept. The rest, which is large and little arithmetic, is made again,
for some rows at a time.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mplug.nn.dropout import as_numbers, kept_places

PART = 2**20  # probabilities that fit into a cache: 4 MB
Heads = Float[Tensor, "batch heads places head_dim"]


def dropped_attention(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch heads keys head_dim"],
    value: Float[Tensor, "batch heads keys head_dim"],
    mask: Bool[Tensor, "#batch #heads #queries keys"] | None,
    *,
    dropout: float,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """What `scaled_dot_product_attention` returns on a CPU."""
    read: Tensor = _DroppedAttention.apply(query, key, value, mask, dropout)  # type: ignore[no-untyped-call]
    return read


def _together(x: Heads) -> Float[Tensor, "batch_heads places head_dim"]:
    """Heads one behind the other, each whole: products turn them over without another copy."""
    return x.flatten(0, 1)


def _apart(x: Float[Tensor, "batch_heads places dim"], heads: int) -> Heads:
    return x.view(-1, heads, *x.shape[1:])


def _probability(
    query: Float[Tensor, "batch_heads queries head_dim"],
    key: Float[Tensor, "batch_heads keys head_dim"],
    mask: Bool[Tensor, "batch #heads #queries keys"] | None,
) -> Float[Tensor, "batch_heads queries keys"]:
    scores = torch.bmm(query * query.shape[-1] ** -0.5, key.transpose(1, 2))
    if mask is None:
        return torch.softmax(scores, dim=-1, out=scores)
    by_row, hidden = _apart(scores, scores.shape[0] // mask.shape[0]), ~mask
    by_row.masked_fill_(hidden, -torch.inf)
    torch.softmax(scores, dim=-1, out=scores)
    by_row.masked_fill_(hidden, 0.0)  # whoever may look nowhere reads nothing
    return scores


def _parts(batch: int, *, heads: int, queries: int, keys: int) -> list[slice]:
    """Rows that are looked at together, so that what they look at stays in the cache."""
    size = max(1, PART // (heads * queries * keys))
    return [slice(first, first + size) for first in range(0, batch, size)]


def _room(x: Heads) -> Heads:
    """For as much as `x`, the heads of a place side by side: the way projections take them."""
    return x.new_empty(x.transpose(1, 2).shape).transpose(1, 2)


class _DroppedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
    ) -> Tensor:
        read, draws = _room(query), list[Tensor]()
        batch, heads, queries, _ = query.shape
        ctx.parts = _parts(batch, heads=heads, queries=queries, keys=key.shape[2])
        mask = None if mask is None else mask.expand(batch, -1, -1, -1)
        # Sublayers give one dtype; autocast would only take turns with the softmax.
        with torch.autocast(query.device.type, enabled=False):
            for rows in ctx.parts:
                seen = None if mask is None else mask[rows]
                probability = _probability(_together(query[rows]), _together(key[rows]), seen)
                kept = kept_places(probability.shape, dropout=dropout)
                found = torch.bmm(probability.mul_(as_numbers(kept)), _together(value[rows]))
                # What is kept is scaled up: on the reading's side, which is smaller.
                read[rows] = _apart(found.div_(1 - dropout), heads)
                draws.append(kept)
        ctx.save_for_backward(query, key, value, mask, *draws)
        ctx.dropout = dropout
        return read

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, *draws = ctx.saved_tensors
        scale, heads = query.shape[-1] ** -0.5, query.shape[1]
        of_query, of_key, of_value = _room(query), _room(key), _room(value)
        for rows, kept in zip(ctx.parts, draws, strict=True):
            q, k, v, gradient = (_together(x[rows]) for x in (query, key, value, gradients[0]))
            probability = _probability(q, k, None if mask is None else mask[rows])
            gradient = gradient / (1 - ctx.dropout)
            numbers = as_numbers(kept).to(probability.dtype)  # once, for both products
            read = torch.bmm((probability * numbers).transpose(1, 2), gradient)
            of_probability = torch.bmm(gradient, v.transpose(1, 2)).mul_(numbers)
            of_scores = torch._softmax_backward_data(
                of_probability, probability, -1, probability.dtype
            ).mul_(scale)
            of_query[rows] = _apart(torch.bmm(of_scores, k), heads)
            of_key[rows] = _apart(torch.bmm(of_scores.transpose(1, 2), q), heads)
            of_value[rows] = _apart(read, heads)
        return of_query, of_key, of_value, None, None
