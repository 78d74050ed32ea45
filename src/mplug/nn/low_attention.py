"""Attention whose projections are lowered: what they share is prepared once."""

from collections.abc import Mapping, Sequence
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
        key_value = [attention.key, attention.value]
        inputs = {"query": [attention.query], "key_value": key_value}
        _take_over(self, attention, inputs=inputs, precision=precision)

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
        return super()._split(x.to(heads_dtype(x.device.type)))

    def _parted(self, both: Float[Tensor, "batch keys both_heads_dims"]) -> KeyValues:
        keys, values = both.to(heads_dtype(both.device.type)).chunk(2, dim=-1)
        return KeyValues(self._split(keys), self._split(values))


class LowSelfAttention(Attention):
    """`Attention` in less than float32 that reads nothing but itself: one product for all three."""

    query_key_value: LowLinear

    def __init__(self, attention: Attention, *, precision: Precision) -> None:
        inputs = {"query_key_value": [attention.query, attention.key, attention.value]}
        _take_over(self, attention, inputs=inputs, precision=precision)

    def itself(
        self, x: Float[Tensor, "batch words dim"]
    ) -> tuple[Float[Tensor, "batch heads words head_dim"], KeyValues]:
        """Queries, keys and values of a sequence that reads itself."""
        three = self.query_key_value(x).to(heads_dtype(x.device.type))
        queries, keys, values = (self._split(part) for part in three.chunk(3, dim=-1))
        return queries, KeyValues(keys, values)


def heads_dtype(device_type: str) -> torch.dtype:
    """What heads of lowered attention read there."""
    return torch.bfloat16 if has_bfloat16(device_type) else torch.float32


def _take_over(
    low: Attention,
    attention: Attention,
    *,
    inputs: Mapping[str, Sequence[nn.Linear]],
    precision: Precision,
) -> None:
    """Make `low` of another attention; each list of `inputs` becomes one layer, side by side."""
    nn.Module.__init__(low)  # nothing is drawn: the weights are the other's
    low.num_heads, low.dropout = attention.num_heads, attention.dropout
    for name, layers in {**inputs, "output": [attention.output]}.items():
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        low.register_module(name, lowered(weight, bias, precision=precision))
    low.train(attention.training)  # a new module would drop out, whatever the other did
