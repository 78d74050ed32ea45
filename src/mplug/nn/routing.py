"""Float32 products of few rows through oneDNN, where it is faster and equal on this very CPU.

Nobody can know without measuring: on some processors the same switch lowers precision, on others it
is slower. Weights stay what they are, to be saved and trained; a packed copy lies beside them.
"""

import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mplug.nn.onednn import has_onednn, packed, packed_linear

FEW_ROWS = 32  # a step of a decoder; whole pictures and texts gain nothing
SMALLEST = 2**18  # weights of a matrix that is worth packing
FASTER = 1.1  # times as fast as torch's own choice, or it is not worth its memory
EQUAL = 1e-5  # largest difference of a sum of products of unit size
TRIED_ROWS = 20
ROUNDS = 5


class Packed:
    """A copy of a weight [out, dim] in oneDNN's own layout, used while the weight stays so."""

    def __init__(self, weight: Tensor) -> None:
        self._weight, self._seen = weight, (weight._version, weight.data_ptr())
        self._packed = packed(weight)

    def fits(self, x: Tensor, weight: Tensor) -> bool:
        """Whether it may stand for `weight` here: few rows, no gradients, and nothing changed."""
        return (
            weight is self._weight
            and (weight._version, weight.data_ptr()) == self._seen
            and x.numel() <= FEW_ROWS * x.shape[-1]
            and x.dtype == torch.float32
            and not torch.is_grad_enabled()
        )

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """What `F.linear` gives for the weight."""
        return packed_linear(x, self._packed, bias)


class PackedLinear(nn.Linear):
    """A linear layer with the parameters of another, and their packed copy for few rows."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)  # nothing is drawn: the parameters are the other's
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self._packed = Packed(layer.weight)

    def forward(self, x: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places out"]:
        """The layer's output, the shorter way where it may be gone."""
        if self._packed.fits(x, self.weight):
            return self._packed.linear(x, self.bias)
        return super().forward(x)


def pays(weight: Tensor) -> bool:
    """Whether packing a weight [out, dim] was measured to be faster here, and equal."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.is_inference():
        return False
    if weight.numel() < SMALLEST or not has_onednn():
        return False
    out, dim = weight.shape
    return _measured(out, dim)


@cache
def _measured(out: int, dim: int) -> bool:
    """One measurement a shape, by turns; the fastest round of each counts, as noise only slows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(TRIED_ROWS, dim, generator=generator)
    weight = torch.randn(out, dim, generator=generator) / dim**0.5
    copy = Packed(weight)
    ways: list[Callable[[], Tensor]] = [
        lambda: F.linear(x, weight),
        lambda: copy.linear(x, None),
    ]
    with torch.no_grad():
        own, other = (way() for way in ways)
        if float((own - other).abs().max()) > EQUAL:
            return False
        fastest = [float("inf")] * len(ways)
        for _ in range(ROUNDS):
            for place, way in enumerate(ways):
                begun = time.perf_counter()
                way()
                fastest[place] = min(fastest[place], time.perf_counter() - begun)
    return fastest[0] > FASTER * fastest[1]
