"""Attention that reads a memory as it is: for few queries, less work than projecting it first.

A query meets a key in (Q x) . (K m) = (K' Q x) . m, so a head's key matrix can be applied to its
queries instead, and its value matrix to what they read: linear maps and weighted sums commute. A
key's bias adds as much to all scores of a query, which softmax does not see.
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

WORTH = 2.0  # times less arithmetic, or its narrower products eat what they save


def pays_unprojected(
    *, queries: int, keys: int, heads: int, memory_dim: int, heads_dim: int
) -> bool:
    """Whether reading a memory as it is takes clearly less arithmetic than projecting it."""
    projected = 2 * keys * heads_dim * (memory_dim + queries)
    as_it_is = 2 * queries * memory_dim * (heads_dim + heads * keys)
    return projected > WORTH * as_it_is


def read_unprojected(
    queries: Float[Tensor, "batch heads queries head_dim"],
    memory: Float[Tensor, "batch keys memory_dim"],
    mask: Bool[Tensor, "batch #queries keys"] | None,
    *,
    key: nn.Linear,
    value: nn.Linear,
) -> Float[Tensor, "batch queries heads_dim"]:
    """What all heads read, before their output projection; equal to reading `value(memory)`."""
    batch, heads, count, head_dim = queries.shape
    if mask is not None and mask.shape[1] > 1:
        mask = mask.repeat(1, heads, 1)
    keys = key.weight.reshape(heads, head_dim, -1)
    values = value.weight.reshape(heads, head_dim, -1).transpose(1, 2)
    asked = _by_row(_by_head(queries) @ keys, batch=batch).flatten(1, 2)
    read = F.scaled_dot_product_attention(
        asked[:, None],
        memory[:, None],
        memory[:, None],
        attn_mask=None if mask is None else mask[:, None],
        scale=head_dim**-0.5,
    )
    of_heads = _by_head(read.reshape(batch, heads, count, -1)) @ values
    together = _by_row(of_heads, batch=batch).transpose(1, 2).flatten(2)
    return together if value.bias is None else together + value.bias


def _by_head(
    states: Float[Tensor, "batch heads queries dim"],
) -> Float[Tensor, "heads rows dim"]:
    return states.transpose(0, 1).flatten(1, 2)


def _by_row(
    states: Float[Tensor, "heads rows dim"], *, batch: int
) -> Float[Tensor, "batch heads queries dim"]:
    heads, rows, dim = states.shape
    return states.reshape(heads, batch, rows // batch, dim).transpose(0, 1)
