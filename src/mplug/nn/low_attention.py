"""Attention whose projections are lowered: what they share is prepared once."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.nn.attention import Attention, KeyValues
from mplug.nn.precision import LowLinear, Precision, has_bfloat16, lowered


class LowAttention(Attention):
    """`Attention` in less than float32; keys and values come from one product.

    What heads read is bfloat16 wherever the device has it, for int8 too: half as much to move.
    """

    key_value: LowLinear

    def __init__(self, attention: Attention, *, precision: Precision) -> None:
        nn.Module.__init__(self)  # nothing is drawn: the weights are the other's
        self.num_heads, self.dropout = attention.num_heads, attention.dropout
        query, output = attention.query, attention.output
        halved = has_bfloat16(query.weight.device.type)
        self._heads_dtype = torch.bfloat16 if halved else torch.float32
        for name, layer in (("query", query), ("output", output)):
            self.register_module(name, lowered(layer.weight, layer.bias, precision=precision))
        both = attention.key, attention.value
        self.key_value = lowered(
            torch.cat([layer.weight for layer in both]),
            torch.cat([layer.bias for layer in both]),
            precision=precision,
        )
        self.train(attention.training)  # a new module would drop out, whatever the other did

    def project(self, memory: Float[Tensor, "batch keys memory_dim"]) -> KeyValues:
        """Keys and values of `memory`."""
        return self._parted(self.key_value(memory))

    def itself(
        self, x: Float[Tensor, "batch words dim"]
    ) -> tuple[Float[Tensor, "batch heads words head_dim"], KeyValues]:
        """Queries, keys and values of a sequence that reads itself."""
        prepared = self.key_value.prepared(x)
        queries = cast(LowLinear, self.query).of(prepared)
        return self._split(queries), self._parted(self.key_value.of(prepared))

    def _reads_unprojected(self, x: Tensor, memory: Tensor) -> bool:
        """Never: lowered matrices are packed, and cannot be taken apart by heads."""
        return False

    def _split(self, x: Tensor) -> Tensor:
        return super()._split(x.to(self._heads_dtype))

    def _parted(self, both: Float[Tensor, "batch keys both_heads_dims"]) -> KeyValues:
        keys, values = both.chunk(2, dim=-1)
        return KeyValues(self._split(keys), self._split(values))
