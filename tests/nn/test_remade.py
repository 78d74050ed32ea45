"""Values made again give the same gradients, and are not kept."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.testing import assert_close

from mplug.nn.block import FeedForward, quick_gelu
from mplug.nn.remade import remade

Activation = Callable[[Tensor], Tensor]


def plain(layer: FeedForward, x: Tensor) -> Tensor:
    """The slow twin, which keeps everything."""
    narrowed: Tensor = layer.narrow(layer.activation(layer.widen(x)))
    return narrowed


@pytest.mark.parametrize("activation", [F.gelu, quick_gelu], ids=["gelu", "quick_gelu"])
def test_a_feed_forward_learns_as_its_twin_does(activation: Activation) -> None:
    torch.manual_seed(0)
    layer = FeedForward(6, hidden_dim=7, activation=activation).double()
    given, results = torch.randn(2, 5, 6, dtype=torch.float64), []
    for forward in (FeedForward.forward, plain):
        layer.zero_grad()
        x = given.clone().requires_grad_()
        made = forward(layer, x)
        made.square().sum().backward()  # type: ignore[no-untyped-call]
        results.append([made, x.grad, *(each.grad for each in layer.parameters())])
    assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize(("forward", "kept"), [(FeedForward.forward, False), (plain, True)])
def test_the_values_are_not_kept(forward: Callable[..., Tensor], kept: bool) -> None:
    made: list[StorageWeakRef] = []

    def activation(x: Tensor) -> Tensor:
        active = F.gelu(x)
        made.append(StorageWeakRef(active.untyped_storage()))  # type: ignore[no-untyped-call]
        return active

    layer = FeedForward(4, hidden_dim=8, activation=activation)
    result = forward(layer, torch.randn(2, 3, 4))
    assert result.requires_grad
    assert [not each.expired() for each in made] == [kept]  # type: ignore[no-untyped-call]


def test_under_autocast_and_where_nothing_learns() -> None:
    layer, x = FeedForward(4, hidden_dim=8), torch.randn(2, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made, twin = layer(x), plain(layer, x)
    assert_close(made, twin, rtol=0, atol=0)
    made.float().sum().backward()
    assert layer.widen.weight.grad is not None
    with torch.inference_mode():
        assert_close(layer(x), plain(layer, x), rtol=0, atol=0)


def test_another_tensor_of_the_same_size_is_kept() -> None:
    weight = nn.Parameter(torch.randn(4))
    with remade(torch.exp, torch.zeros(4)) as made:
        result = made * weight
    result.sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert_close(weight.grad, torch.ones(4))
