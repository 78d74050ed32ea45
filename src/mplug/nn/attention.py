"""The one attention: queries read keys and values, which can be projected once and kept."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.nn.dropped_attention import dropped_attention
from mplug.nn.unprojected import pays_unprojected, read_unprojected


class KeyValues(NamedTuple):
    """Projected keys and values of a sequence, ready to be read any number of times."""

    keys: Float[Tensor, "batch heads keys head_dim"]
    values: Float[Tensor, "batch heads keys head_dim"]

    def append(self, other: "KeyValues") -> "KeyValues":
        """This sequence with another behind it."""
        return KeyValues(
            torch.cat([self.keys, other.keys], dim=2), torch.cat([self.values, other.values], dim=2)
        )

    def write(self, other: "KeyValues", place: Int[Tensor, "1"]) -> None:
        """Put another of one position at `place`, where this sequence has room: in place."""
        self.keys.index_copy_(2, place, other.keys)
        self.values.index_copy_(2, place, other.values)

    def laid_out(self) -> "KeyValues":
        """Each head's states side by side in memory: worth a copy where they are read often."""
        return KeyValues(self.keys.contiguous(), self.values.contiguous())

    def reorder(self, indices: Int[Tensor, "batch"]) -> "KeyValues":
        """The rows at `indices`, as a beam search moves its hypotheses."""
        # `index_select` is twice as fast as `keys[indices]` on a CPU.
        return KeyValues(self.keys.index_select(0, indices), self.values.index_select(0, indices))


class Attention(nn.Module):
    """Scaled dot-product attention with separate query, key, value and output projections.

    `memory_dim` is the width of what is read, where it is another; `heads_dim` that of all heads
    together.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        dropout: float = 0.0,
        memory_dim: int | None = None,
        heads_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        memory_dim, heads_dim = memory_dim or dim, heads_dim or dim
        self.query = nn.Linear(dim, heads_dim)
        self.key = nn.Linear(memory_dim, heads_dim)
        self.value = nn.Linear(memory_dim, heads_dim)
        self.output = nn.Linear(heads_dim, dim)

    def project(self, memory: Float[Tensor, "batch keys memory_dim"]) -> KeyValues:
        """Keys and values of `memory`."""
        return KeyValues(self._split(self.key(memory)), self._split(self.value(memory)))

    def read(
        self,
        x: Float[Tensor, "rows queries dim"],
        memory: KeyValues,
        mask: Bool[Tensor, "batch #queries keys"] | None = None,
    ) -> Float[Tensor, "rows queries dim"]:
        """Queries from `x` over projected keys and values.

        `x` may hold several consecutive rows for each row of `memory` (the beams of one image):
        they then share its keys and values, which are never copied.
        """
        rows, queries, _ = x.shape
        batch = memory.keys.shape[0]
        query = self._split(self.query(x).reshape(batch, rows // batch * queries, -1))
        if mask is not None and rows > batch:
            mask = mask.expand(batch, queries, -1).repeat(1, rows // batch, 1)
        return self.output(self._attend(query, memory, mask).reshape(rows, queries, -1))

    def ask(
        self, x: Float[Tensor, "batch queries dim"]
    ) -> Float[Tensor, "batch heads queries head_dim"]:
        """The queries of `x`, for `answer`."""
        return self._split(self.query(x))

    def itself(
        self, x: Float[Tensor, "batch words dim"]
    ) -> tuple[Float[Tensor, "batch heads words head_dim"], KeyValues]:
        """Queries, keys and values of a sequence that reads itself."""
        return self.ask(x), self.project(x)

    def answer(
        self,
        queries: Float[Tensor, "batch heads queries head_dim"],
        memory: KeyValues,
        mask: Bool[Tensor, "batch #queries keys"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        """What `read` returns, of queries that are projected already."""
        output: Tensor = self.output(self._attend(queries, memory, mask))
        return output

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        memory: Float[Tensor, "batch keys memory_dim"],
        mask: Bool[Tensor, "batch #queries keys"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        """Queries from `x` over `memory`; with `memory` = `x` this is self-attention."""
        if memory is x:
            queries, seen = self.itself(x)
            return self.answer(queries, seen, mask)
        if self._reads_unprojected(x, memory):
            read = read_unprojected(self.ask(x), memory, mask, key=self.key, value=self.value)
            output: Tensor = self.output(read)
            return output
        return self.read(x, self.project(memory), mask)

    def _reads_unprojected(self, x: Tensor, memory: Tensor) -> bool:
        """Whether the few queries of `x` had better read `memory` as it is, which is as exact."""
        if torch.is_grad_enabled() or (self.training and self.dropout > 0):
            return False
        return type(self.key) is nn.Linear and pays_unprojected(
            queries=x.shape[1],
            keys=memory.shape[1],
            heads=self.num_heads,
            memory_dim=self.key.in_features,
            heads_dim=self.key.out_features,
        )

    def _attend(
        self,
        queries: Float[Tensor, "batch heads queries head_dim"],
        memory: KeyValues,
        mask: Bool[Tensor, "batch #queries keys"] | None,
    ) -> Float[Tensor, "batch queries heads_dim"]:
        keys, values = memory.keys, memory.values
        heads_mask = None if mask is None else mask[:, None]
        dropout = self.dropout if self.training else 0.0
        if dropout > 0 and queries.device.type == "cpu":
            attended = dropped_attention(queries, keys, values, heads_mask, dropout=dropout)
        else:
            attended = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=heads_mask, dropout_p=dropout
            )
        return attended.transpose(1, 2).flatten(2)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        return x.reshape(batch, length, self.num_heads, -1).transpose(1, 2)
