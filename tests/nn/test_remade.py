"""Values made again give the same gradients, and are not kept."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn.block import FeedForward, quick_gelu
from mplug.nn.remade import remade

Activation = Callable[[Tensor], Tensor]


def plain(layer: FeedForward, x: Tensor) -> Tensor:
    """The slow twin, which keeps everything."""
    narrowed: Tensor = layer.narrow(layer.activation(layer.widen(x)))
    return narrowed


def kept_bytes(work: Callable[[], Tensor]) -> int:
    """Of all that is kept for the backward pass, each memory once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = work()
    assert result.requires_grad
    return sum(kept.values())


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


def test_the_values_are_not_kept() -> None:
    layer, x = FeedForward(4, hidden_dim=512), torch.randn(4, 16, 4)
    hidden = 64 * 512 * 4
    inner: list[Tensor] = []

    def seen(tensor: Tensor) -> Tensor:
        inner.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
        layer(x)
    large = {each.data_ptr() for each in inner if each.numel() * 4 == hidden}
    assert len(large) == 1  # what the activation reads; the twin keeps what it gives as well
    assert kept_bytes(lambda: plain(layer, x)) >= 2 * hidden


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
