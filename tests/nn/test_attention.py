import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.nn.attention import Attention


def by_hand(attention: Attention, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
    """The formula, head by head and query by query."""
    rows = []
    size = x.shape[2] // attention.num_heads
    for number in range(x.shape[0]):
        query, key, value = (
            layer(source[number])
            for layer, source in (
                (attention.query, x),
                (attention.key, memory),
                (attention.value, memory),
            )
        )
        heads = []
        for head in range(attention.num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = query[:, part] @ key[:, part].T / math.sqrt(size)
            if mask is not None:
                scores = scores.masked_fill(~mask[number].expand(scores.shape), -math.inf)
            heads.append(scores.softmax(dim=1) @ value[:, part])
        rows.append(attention.output(torch.cat(heads, dim=1)))
    return torch.stack(rows)


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(12, num_heads=3)


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_formula(attention: Attention, masked: bool) -> None:
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    mask = torch.arange(7) < torch.tensor([[[4]], [[7]]]) if masked else None
    assert_close(attention(x, memory, mask), by_hand(attention, x, memory, mask))


def test_hidden_keys_change_nothing(attention: Attention) -> None:
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    mask = torch.arange(7)[None, None] < torch.tensor([[[4]], [[6]]])
    changed = memory.masked_fill(~mask[:, 0, :, None], 99.0)
    assert_close(attention(x, memory, mask), attention(x, changed, mask))


def test_rows_that_share_a_memory_read_it_as_if_it_were_repeated(attention: Attention) -> None:
    x, memory = torch.randn(6, 5, 12), torch.randn(2, 7, 12)
    mask = torch.arange(7)[None, None] < torch.tensor([[[4]], [[7]]])
    shared = attention.read(x, attention.project(memory), mask)
    repeated = attention(x, memory.repeat_interleave(3, 0), mask.repeat_interleave(3, 0))
    assert_close(shared, repeated)


def test_each_shared_row_keeps_its_own_query_mask(attention: Attention) -> None:
    x, memory = torch.randn(4, 3, 12), torch.randn(2, 3, 12)
    mask = torch.ones(3, 3, dtype=torch.bool).tril().expand(2, -1, -1)
    shared = attention.read(x, attention.project(memory), mask)
    repeated = attention(x, memory.repeat_interleave(2, 0), mask.repeat_interleave(2, 0))
    assert_close(shared, repeated)


def test_projected_keys_can_be_appended_and_reordered(attention: Attention) -> None:
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    whole = attention.project(memory)
    parts = attention.project(memory[:, :3]).append(attention.project(memory[:, 3:]))
    assert_close(parts, whole)
    swapped = attention.read(x, whole.reorder(torch.tensor([1, 0])))
    assert_close(swapped, attention(x, memory.flip(0)))


def test_dropout_is_on_only_in_training() -> None:
    attention = Attention(12, num_heads=3, dropout=0.9)
    x = torch.randn(2, 5, 12)
    assert not torch.equal(attention(x, x), attention(x, x))
    attention.eval()
    assert_close(attention(x, x), attention(x, x))
