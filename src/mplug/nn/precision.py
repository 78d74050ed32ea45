"""Linear layers in less than float32: weights in bfloat16, or in int8 with a scale per channel.

Only the large matrices are lowered. What adds up or compares many numbers (the residual stream,
LayerNorm, logits, embeddings) stays in float32.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

from mplug.nn.onednn import has_onednn, packed, packed_linear

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

LARGEST = 127  # of an int8 on either side of 0
# Two products of an activation (a byte) and a weight fill 16 bits unless weights are this small.
LARGEST_IN_PAIRS = 63
# How their tensors are called.
LOWERED = ("half_weight", "half_bias", "rounded_weight", "int8_scales")
SMALLEST_SCALE = 1e-12  # added to every scale: a row may be all zeros


class LowLinear(nn.Module, ABC):
    """A linear layer in two parts, so that layers of one input get it ready once."""

    def forward(self, x: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places out"]:
        """What a linear layer gives."""
        return self.of(self.prepared(x))

    @abstractmethod
    def prepared(self, x: Tensor) -> Any:
        """The input as every layer of this kind wants it."""

    @abstractmethod
    def of(self, prepared: Any) -> Tensor:
        """The layer's output for what was prepared."""


class HalfLinear(LowLinear):
    """Weights, inputs and outputs in bfloat16, summed in float32 by the kernel."""

    half_weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("half_weight", weight.detach().bfloat16())
        self.register_buffer("bias", None if bias is None else bias.detach().bfloat16())

    def prepared(self, x: Tensor) -> Tensor:
        """In bfloat16."""
        return x.bfloat16()

    def of(self, prepared: Tensor) -> Tensor:
        """What a linear layer gives for it, in bfloat16."""
        return F.linear(prepared, self.half_weight, self.bias)


class PackedHalfLinear(LowLinear):
    """`HalfLinear` on a CPU, its weights laid out once: few rows are read up to twice as fast."""

    half_bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._packed = packed(weight.detach().bfloat16())
        bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        self.register_buffer("half_bias", bias.bfloat16())

    def prepared(self, x: Tensor) -> Tensor:
        """In bfloat16."""
        return x.bfloat16()

    def of(self, prepared: Tensor) -> Tensor:
        """What a linear layer gives for it, in bfloat16."""
        return packed_linear(prepared, self._packed, self.half_bias)


class RoundedLinear(LowLinear):
    """`HalfLinear`'s numbers where the processor lacks bfloat16: rounded, but kept in float32.

    Kernels for bfloat16 are many times slower there than those for float32.
    """

    rounded_weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("rounded_weight", _rounded(weight.detach()))
        self.register_buffer("bias", None if bias is None else _rounded(bias.detach()))

    def prepared(self, x: Tensor) -> Tensor:
        """Rounded."""
        return _rounded(x)

    def of(self, prepared: Tensor) -> Tensor:
        """What `HalfLinear` gives for it, in float32."""
        return _rounded(F.linear(prepared, self.rounded_weight, self.bias))


class WholeRows(NamedTuple):
    """An input in int8, each row of it divided by a scale of its own."""

    whole: Int8[Tensor, "*places dim"]
    scale: Float[Tensor, "*places 1"]


class Int8Linear(LowLinear):
    """Weights in int8 with a scale per output channel, inputs with one per row, found as they come.

    Sums are exact integers and a row's scale is its own, so what else is in the batch changes
    nothing. The kernel is oneDNN's; its packed weights live on the CPU only.
    """

    int8_scales: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        largest = largest_weight()
        scales = (weight.abs().amax(dim=1) / largest).clamp(min=SMALLEST_SCALE)
        whole = torch.round(weight / scales[:, None]).to(torch.int8)
        self.register_buffer("int8_scales", scales)
        self.register_buffer("bias", torch.zeros_like(scales) if bias is None else bias.detach())
        self._multiply = _packed(whole, scales)
        self._smallest = torch.tensor(SMALLEST_SCALE)

    def prepared(self, x: Tensor) -> WholeRows:
        """Each row's largest number becomes 127."""
        # `linalg.vector_norm` of order infinity gives the same, many times slower.
        largest = x.abs().amax(dim=-1, keepdim=True)
        if largest.dtype != torch.float32:
            largest = largest.float()
        scale = torch.add(self._smallest, largest, alpha=1 / LARGEST)
        return WholeRows(x.div(scale).round_().to(torch.int8), scale)

    def of(self, prepared: WholeRows) -> Tensor:
        """What a linear layer gives for them, in float32."""
        product = self._multiply(prepared.whole)
        return torch.addcmul(self.bias, product, prepared.scale, out=product)


def lowered(weight: Tensor, bias: Tensor | None, *, precision: Precision) -> LowLinear:
    """A linear layer of these float32 weights in another precision, where they are."""
    if precision == "int8":
        return Int8Linear(weight, bias)
    if precision == "bfloat16":
        return half_linear(weight.device.type)(weight, bias)
    raise ValueError(f"nothing is lower than float32 in {precision!r}")


def half_linear(device_type: str) -> Callable[[Tensor, Tensor | None], LowLinear]:
    """The linear layer of bfloat16 that such a device does best."""
    if not has_bfloat16(device_type):
        return RoundedLinear
    return PackedHalfLinear if device_type == "cpu" and has_onednn() else HalfLinear


def is_lowered(tensors: Iterable[str]) -> bool:
    """Whether a network whose tensors have these names has lost precision."""
    return any(name.rpartition(".")[2] in LOWERED for name in tensors)


@cache
def has_bfloat16(device_type: str) -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device_type != "cpu" or _cpu_has("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@cache
def has_int8() -> bool:
    """Whether this CPU multiplies bytes and sums the products in 32 bits in one instruction."""
    return _cpu_has("_is_vnni_supported", "_is_amx_tile_supported")


@cache
def has_int8_kernel() -> bool:
    """Whether this build of torch has the kernel that int8 needs."""
    try:
        _packed(torch.ones(8, 8, dtype=torch.int8), torch.ones(8))(
            torch.ones(1, 8, dtype=torch.int8)
        )
    except (AttributeError, RuntimeError):
        return False
    return True


@cache
def largest_weight() -> int:
    """Up to where int8 weights may go so that the kernel's sums are exact on this CPU.

    Without instructions for it, pairs of products are summed in 16 bits and cut off there; the
    kernel does not say so, and neighbouring large weights would lose a tenth of their sum.
    """
    if not has_int8():
        return LARGEST_IN_PAIRS
    for rows in (1, 48):
        ones = torch.full((64, 256), LARGEST, dtype=torch.int8)
        found = _packed(ones, torch.ones(64))(torch.full((rows, 256), LARGEST, dtype=torch.int8))
        if not bool((found == 256 * LARGEST**2).all()):
            return LARGEST_IN_PAIRS
    return LARGEST


def _packed(whole: Tensor, scales: Tensor) -> Callable[[Tensor], Tensor]:
    """Multiplies int8 rows by int8 weights [out, dim]: float32 sums, times each channel's scale."""
    operators: Any = torch.ops.onednn
    with torch.inference_mode(False):
        weight = operators.qlinear_prepack(whole.contiguous(), None)
    zeros = torch.zeros(len(whole), dtype=torch.int32)

    def multiply(rows: Tensor) -> Tensor:
        product: Tensor = operators.qlinear_pointwise(
            rows, 1.0, 0, weight, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return product

    return multiply


def _rounded(x: Tensor) -> Tensor:
    """The nearest bfloat16, as a float32."""
    return x.bfloat16().float()


def _cpu_has(*names: str) -> bool:
    """Whether torch sees any of these on the CPU; where it cannot say, there is none."""
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)
