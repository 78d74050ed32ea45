import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from mplug.nn import routing
from mplug.nn.onednn import has_onednn
from mplug.nn.routing import FEW_ROWS, Packed, PackedLinear, pays

pytestmark = pytest.mark.skipif(not has_onednn(), reason="no oneDNN in this torch")


def layer(dim: int = 24, out: int = 11) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(dim, out)


@pytest.mark.parametrize("places", [(1,), (5,), (3, 7), (FEW_ROWS + 1,)])
def test_the_packed_layer_is_its_slow_twin(places: tuple[int, ...]) -> None:
    slow = layer()
    fast, x = PackedLinear(slow), torch.randn(*places, 24)
    with torch.no_grad():
        assert_close(fast(x), slow(x), rtol=1e-5, atol=1e-5)


def test_few_rows_without_gradients_go_the_packed_way(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, gone = PackedLinear(layer()), []

    def linear(_packed: Packed, x: torch.Tensor, _bias: object) -> torch.Tensor:
        gone.append(len(x))
        return torch.zeros(len(x), 11)

    monkeypatch.setattr(Packed, "linear", linear)
    fast(torch.randn(4, 24))
    with torch.no_grad():
        fast(torch.randn(FEW_ROWS + 1, 24))
        assert gone == []
        fast(torch.randn(4, 24))
    with torch.inference_mode():
        fast(torch.randn(FEW_ROWS, 24))
    assert gone == [4, FEW_ROWS]


def test_a_weight_that_was_trained_on_is_not_read_from_its_old_copy() -> None:
    slow = layer()
    fast, x = PackedLinear(slow), torch.randn(4, 24)
    with torch.no_grad():
        slow.weight.mul_(2)
        assert_close(fast(x), F.linear(x, slow.weight, slow.bias), rtol=1e-5, atol=1e-5)


def test_parameters_and_their_names_stay() -> None:
    slow = layer()
    fast = PackedLinear(slow)
    assert fast.weight is slow.weight
    assert list(fast.state_dict()) == list(slow.state_dict())


def test_only_what_is_faster_and_equal_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not pays(torch.randn(8, 8))  # too small to be worth it
    weight = torch.randn(512, 512)
    monkeypatch.setattr(routing, "EQUAL", -1.0)
    routing._measured.cache_clear()
    assert not pays(weight)
    monkeypatch.undo()
    for faster, expected in ((0.0, True), (1e9, False)):
        monkeypatch.setattr(routing, "FASTER", faster)
        routing._measured.cache_clear()
        assert pays(weight) is expected
    routing._measured.cache_clear()
