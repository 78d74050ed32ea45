"""Attention with dropout, against torch's own plain way with the same draws."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mplug.nn import dropped_attention as module
from mplug.nn.attention import Attention
from mplug.nn.dropout import kept_places
from mplug.nn.dropped_attention import dropped_attention

MASKS = {
    "none": None,
    "of keys": torch.arange(7) < torch.tensor([7, 3, 1])[:, None, None, None],
    "of pairs": torch.ones(3, 1, 5, 7, dtype=torch.bool).tril(),
    "of pairs, of all rows": torch.ones(1, 1, 5, 7, dtype=torch.bool).tril(),
    "all hidden": torch.zeros(3, 1, 1, 7, dtype=torch.bool),
}


def given(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, each, 4, dtype=dtype) for each in (5, 7, 7))
    return query.requires_grad_(), key.requires_grad_(), value.requires_grad_()


def plainly(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, parts: tuple[int, ...]
) -> Tensor:
    """Torch's formula with the same draws: dropped probabilities before they meet the values."""
    where = torch.eye(key.shape[2], dtype=query.dtype).expand(3, 2, -1, -1)
    probability = F.scaled_dot_product_attention(query, key, where, attn_mask=mask)
    draws = [kept_places(some.shape, dropout=0.4) for some in torch.split(probability, [*parts])]
    return (probability * torch.cat(draws) / 0.6) @ value


@pytest.mark.parametrize(("part", "parts"), [(1, (1, 1, 1)), (2 * 70, (2, 1)), (2**20, (3,))])
@pytest.mark.parametrize("name", MASKS)
def test_it_reads_and_learns_as_the_plain_way_does(
    name: str, part: int, parts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", part)  # a row looks at 2 x 5 x 7 places
    mask = MASKS[name]
    results = []
    for fast in (True, False):
        inputs = given(torch.float64)
        torch.manual_seed(1)
        if fast:
            read = dropped_attention(*inputs, mask, dropout=0.4)
        else:
            read = plainly(*inputs, mask, parts=parts)
        read.square().sum().backward()  # type: ignore[no-untyped-call]
        results.append([read, *(each.grad for each in inputs)])
    assert_close(*results)


def test_only_training_drops_and_draws_differ() -> None:
    attention, x = Attention(8, num_heads=2, dropout=0.5), torch.randn(3, 5, 8)
    assert not torch.equal(attention(x, x), attention(x, x))
    attention.eval()
    assert torch.equal(attention(x, x), attention(x, x))


def test_it_works_in_low_precision() -> None:
    attention, x = Attention(8, num_heads=2, dropout=0.5), torch.randn(3, 5, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = attention(x, x)
    assert read.dtype == torch.bfloat16
    read.float().sum().backward()
    assert attention.query.weight.grad is not None


def test_it_keeps_less_for_the_backward_pass() -> None:
    """A byte a draw: 1 byte for every pair of places, not 12."""
    inputs, kept = given(torch.float32), dict[int, int]()

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        read = dropped_attention(*inputs, None, dropout=0.4)
    assert read.requires_grad
    own = sum(each.untyped_storage().nbytes() for each in inputs)
    assert sum(kept.values()) - own == 3 * 2 * 5 * 7
