"""Products with weights that oneDNN has laid out in its own way, once and not at every call."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def has_onednn() -> bool:
    """Whether this build of torch brings oneDNN."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def packed(weight: Float[Tensor, "out dim"]) -> Tensor:
    """A copy of a weight on the CPU, of float32 or bfloat16, for `packed_linear` alone."""
    operators: Any = torch.ops.mkldnn
    with torch.inference_mode(False), torch.no_grad():
        laid_out: Tensor = operators._reorder_linear_weight(weight.detach(), None)
    return laid_out


def packed_linear(
    x: Float[Tensor, "*places dim"], weight: Tensor, bias: Float[Tensor, "out"] | None
) -> Float[Tensor, "*places out"]:
    """What `F.linear` gives for the weight that was packed, in `x`'s type; without gradients."""
    operators: Any = torch.ops.mkldnn
    output: Tensor = operators._linear_pointwise(x, weight, bias, "none", [], "")
    return output
