import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mplug.nn import precision
from mplug.nn.onednn import has_onednn
from mplug.nn.precision import (
    HalfLinear,
    Int8Linear,
    PackedHalfLinear,
    RoundedLinear,
    half_linear,
    has_int8_kernel,
    largest_weight,
    lowered,
)

PLACES, DIM, OUT = (3, 5), 24, 11

needs_kernel = pytest.mark.skipif(not has_int8_kernel(), reason="no int8 kernels in this torch")


def layer(*, dim: int = DIM, out: int = OUT) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(out, dim), torch.randn(out)


def by_hand(x: Tensor, weight: Tensor, bias: Tensor, *, largest: int) -> Tensor:
    """The slow twin: whole numbers in float64, a scale for every row of either side."""
    weight_scale = weight.abs().amax(dim=1, keepdim=True).double() / largest
    x_scale = x.abs().amax(dim=-1, keepdim=True).double() / 127
    whole = torch.round(x / x_scale.float()).double() @ (
        torch.round(weight / weight_scale.float()).double().T
    )
    return (whole * x_scale * weight_scale[:, 0] + bias).float()


@needs_kernel
def test_int8_is_its_slow_twin() -> None:
    weight, bias = layer()
    x = torch.randn(*PLACES, DIM)
    found = Int8Linear(weight, bias)(x)
    assert_close(found, by_hand(x, weight, bias, largest=largest_weight()), rtol=1e-5, atol=1e-5)


@needs_kernel
def test_int8_stays_within_two_percent_of_float32() -> None:
    weight, _ = layer(dim=768, out=64)
    x = torch.randn(48, 768)
    exact = F.linear(x, weight)
    error = Int8Linear(weight, None)(x) - exact
    assert error.norm() < 0.02 * exact.norm()


@needs_kernel
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_int8_sums_do_not_overflow_where_all_is_largest(rows: int) -> None:
    for sign in (1.0, -1.0):
        x, weight = torch.ones(rows, 512), torch.full((32, 512), sign)
        assert_close(Int8Linear(weight, None)(x), torch.full((rows, 32), sign * 512))


@needs_kernel
def test_int8_of_a_row_is_the_same_in_any_batch() -> None:
    weight, bias = layer(dim=96, out=40)
    low = Int8Linear(weight, bias)
    x = torch.randn(33, 96)
    x[32] *= 1000  # its scale is its own
    for place in (0, 31):
        assert torch.equal(low(x)[place], low(x[place]))


@needs_kernel
def test_int8_of_zeros_is_the_bias() -> None:
    weight, bias = layer()
    assert_close(Int8Linear(weight, bias)(torch.zeros(2, DIM)), bias.expand(2, -1))
    assert_close(Int8Linear(weight * 0, bias)(torch.randn(2, DIM)), bias.expand(2, -1))


def test_bfloat16_is_close_and_its_imitation_as_close() -> None:
    weight, bias = layer()
    x = torch.randn(*PLACES, DIM)
    half, rounded = HalfLinear(weight, bias)(x), RoundedLinear(weight, bias)(x)
    assert half.dtype == torch.bfloat16
    assert rounded.dtype == torch.float32
    exact = F.linear(x, weight, bias)
    for found in (half.float(), rounded):
        assert (found - exact).norm() < 0.01 * exact.norm()
    assert_close(half.float(), rounded, rtol=2**-7, atol=2**-6)  # they differ in the last bit


def test_where_the_processor_lacks_bfloat16_it_is_imitated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight, bias = layer()
    for has, packs, kind in (
        (True, True, PackedHalfLinear),
        (True, False, HalfLinear),
        (False, True, RoundedLinear),
    ):
        monkeypatch.setattr(precision, "has_bfloat16", lambda _device, has=has: has)
        monkeypatch.setattr(precision, "has_onednn", lambda packs=packs: packs)
        monkeypatch.setattr(precision, "packed", lambda weight: weight)
        assert type(lowered(weight, bias, precision="bfloat16")) is kind


def test_a_gpu_keeps_plain_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _device: True)
    assert half_linear("cuda") is HalfLinear


@pytest.mark.skipif(not has_onednn(), reason="no oneDNN in this torch")
@pytest.mark.parametrize("rows", [1, 20, 300])
@pytest.mark.parametrize("with_bias", [True, False])
def test_packed_bfloat16_is_its_slow_twin(rows: int, with_bias: bool) -> None:
    weight, bias = layer(dim=96, out=40)
    given = bias if with_bias else None
    x = torch.randn(2, rows, 96)
    with torch.inference_mode():
        found = PackedHalfLinear(weight, given)(x)
        wanted = HalfLinear(weight, given)(x)
    assert found.dtype == torch.bfloat16
    assert_close(found, wanted, rtol=2**-7, atol=2**-6)  # the last bit


def test_nothing_is_lowered_to_float32() -> None:
    with pytest.raises(ValueError, match="nothing is lower than float32"):
        lowered(*layer(), precision="float32")
