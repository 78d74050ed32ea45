"""Dropout whose draws share random numbers: as many, independent, and kept as bytes."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn.dropout import Dropout, kept_places


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_draws_are_as_many_as_asked_for_and_independent(dropout: float) -> None:
    torch.manual_seed(0)
    kept = kept_places(torch.Size([101, 997]), dropout=dropout).double()
    assert kept.shape == (101, 997)
    spread = (dropout * (1 - dropout) / kept.numel()) ** 0.5
    assert abs(float(kept.mean()) - (1 - dropout)) < 4 * spread
    flat = kept.flatten() - kept.mean()
    for apart in (1, 2, 3, 4):  # neighbours come from one random number
        together = float((flat[apart:] * flat[:-apart]).mean())
        assert abs(together) < 4 * dropout * (1 - dropout) / kept.numel() ** 0.5
    assert not torch.equal(kept, kept_places(torch.Size([101, 997]), dropout=dropout).double())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_what_is_kept_is_scaled_and_its_gradient_too(dtype: torch.dtype) -> None:
    x = torch.randn(5, 7, 3, dtype=dtype, requires_grad=True)
    torch.manual_seed(1)
    dropped = Dropout(0.4)(x)
    torch.manual_seed(1)
    kept = kept_places(x.shape, dropout=0.4)
    assert 0 < int(kept.sum()) < kept.numel()
    assert dropped.dtype == dtype
    assert_close(dropped, torch.where(kept, x / 0.6, torch.zeros_like(x)))
    dropped.backward(torch.full_like(x, 3.0))
    assert_close(x.grad, torch.where(kept, 3.0 / 0.6, 0.0).to(dtype))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_as_torch_has_them(share: float) -> None:
    x = torch.randn(4, 3)
    assert torch.equal(Dropout(share)(x), nn.Dropout(share)(x))


def test_evaluation_drops_nothing() -> None:
    x = torch.randn(4, 3)
    assert Dropout(0.5).eval()(x) is x


def test_a_byte_is_kept_of_every_number() -> None:
    x, kept = torch.randn(6, 4, requires_grad=True), list[Tensor]()

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        assert Dropout(0.5)(x).requires_grad
    assert [each.untyped_storage().nbytes() for each in kept] == [6 * 4]
