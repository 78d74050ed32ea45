"""Lowered attention gives what its projections, lowered one by one, give."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn import low_attention
from mplug.nn.attention import Attention
from mplug.nn.low_attention import LowAttention, LowSelfAttention
from mplug.nn.precision import Int8Linear, Precision, has_int8_kernel, lowered
from tests.models.small import enliven

LOW: list[Precision] = ["bfloat16"]
if has_int8_kernel():
    LOW.append("int8")
DIM, MEMORY = 32, 48


def close(found: Tensor, wanted: Tensor) -> bool:
    """But for bfloat16's last bits, which a step of int8 may be made of."""
    return float((found.float() - wanted.float()).norm()) < 0.02 * float(wanted.float().norm())


def attention(*, memory_dim: int = DIM) -> Attention:
    torch.manual_seed(0)
    made = Attention(DIM, num_heads=4, memory_dim=memory_dim)
    enliven(made)
    return made.eval()


def one_by_one(made: Attention, precision: Precision) -> Attention:
    """The slow twin: four matrices, each by itself."""
    twin = copy.deepcopy(made)
    for name, layer in list(twin.named_children()):
        assert isinstance(layer, nn.Linear)
        setattr(twin, name, lowered(layer.weight, layer.bias, precision=precision))
    return twin


@pytest.mark.parametrize("precision", LOW)
def test_it_is_its_slow_twin(precision: Precision) -> None:
    for memory_dim in (DIM, MEMORY):
        made = attention(memory_dim=memory_dim)
        low, twin = LowAttention(made, precision=precision), one_by_one(made, precision)
        x, memory = torch.randn(2, 5, DIM), torch.randn(2, 7, memory_dim)
        mask = torch.arange(7) < torch.tensor([[[4]], [[7]]])
        with torch.inference_mode():
            assert close(low(x, memory, mask), twin(x, memory, mask))
            assert close(low.read(x, low.project(memory)), twin.read(x, twin.project(memory)))


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("kind", [LowAttention, LowSelfAttention])
def test_a_sequence_that_reads_itself_is_prepared_once(
    kind: type[LowAttention | LowSelfAttention],
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = attention()
    low, twin = kind(made, precision=precision), one_by_one(made, precision)
    x = torch.randn(2, 5, DIM)
    with torch.inference_mode():
        (queries, seen), (own_queries, own_seen) = low.itself(x), twin.itself(x)
        for found, wanted in zip((queries, *seen), (own_queries, *own_seen), strict=True):
            assert close(found, wanted)
        assert close(low(x, x), twin(x, x))
        assert close(low.answer(queries, seen), twin(x, x))
    if precision == "int8":
        prepared, prepare = [], Int8Linear.prepared

        def counting(layer: Int8Linear, given: torch.Tensor) -> object:
            prepared.append(given.shape)
            return prepare(layer, given)

        monkeypatch.setattr(Int8Linear, "prepared", counting)
        low(x, x)
        assert len(prepared) == 2  # its input, and the output projection's


@pytest.mark.skipif("int8" not in LOW, reason="no int8 kernels in this torch")
@pytest.mark.parametrize("halved", [True, False])
def test_heads_of_int8_are_halved_where_the_processor_can(
    halved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low_attention, "has_bfloat16", lambda _device: halved)
    made = attention()
    low, twin = LowAttention(made, precision="int8"), one_by_one(made, "int8")
    x = torch.randn(2, 5, DIM)
    with torch.inference_mode():
        queries, seen = low.itself(x)
        expected = torch.bfloat16 if halved else torch.float32
        assert {part.dtype for part in (queries, *seen)} == {expected}
        assert low(x, x).dtype == torch.float32  # what comes out is added to a stream of float32
        if not halved:
            assert_close(low(x, x), twin(x, x))


@pytest.mark.parametrize("precision", LOW)
def test_it_drops_nothing_out_where_the_other_did_not(precision: Precision) -> None:
    made = attention()
    made.dropout = 0.5
    low, x = LowAttention(made, precision=precision), torch.randn(2, 5, DIM)
    with torch.inference_mode():
        assert torch.equal(low(x, x), low(x, x))
        assert close(low(x, x), one_by_one(made, precision)(x, x))
    for kind in (LowAttention, LowSelfAttention):
        for training in (True, False):
            taken = kind(made.train(training), precision=precision)
            assert {each.training for each in taken.modules()} == {training}


@pytest.mark.parametrize("kind", [LowAttention, LowSelfAttention])
def test_no_weight_of_the_other_is_kept_in_float32(
    kind: type[LowAttention | LowSelfAttention],
) -> None:
    assert not list(kind(attention(), precision="bfloat16").parameters())
