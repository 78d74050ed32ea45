"""Batch normalisation whose batch is that of all processes, so that sharing it changes nothing.

Ioffe and Szegedy 2015. PyTorch's own variant for several processes needs a GPU.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Maps = Float[Tensor, "batch channels height width"]
Channels = Float[Tensor, "channels"]


class BatchNorm(nn.Module):
    """Normalises each channel over the global batch in training, by running averages otherwise.

    A picture's features outside training therefore never depend on its neighbours. Processes may
    hold different numbers of pictures.
    """

    running_mean: Channels
    running_variance: Channels

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def forward(self, maps: Maps) -> Maps:
        """Normalised feature maps."""
        if self.training and dist.is_initialized() and dist.get_world_size() > 1:
            return self._over_processes(maps)
        return F.batch_norm(
            maps,
            self.running_mean,
            self.running_variance,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )

    def _over_processes(self, maps: Maps) -> Maps:
        normalised, mean, variance, places = _Synchronised.apply(  # type: ignore[no-untyped-call]
            maps, self.weight, self.bias, self.eps
        )
        unbiased = variance * (places / (places - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_variance.lerp_(unbiased.to(self.running_variance.dtype), self.momentum)
        result: Tensor = normalised
        return result


class _Synchronised(torch.autograd.Function):
    """Forward and backward with the sums of all processes; the local loss's gradient is summed."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Any:
        mean, variance, places = _moments(maps, dtype=weight.dtype)
        ctx.save_for_backward(maps, weight, mean, (variance + eps).rsqrt())
        ctx.places = places
        ctx.mark_non_differentiable(mean, variance, places)
        normalised = F.batch_norm(maps, mean, variance, weight, bias, training=False, eps=eps)
        return normalised, mean, variance, places

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        maps, weight, mean, scale = ctx.saved_tensors
        gradient, centred = gradients[0], maps - mean[:, None, None]
        bias_gradient = gradient.sum((0, 2, 3), dtype=weight.dtype)
        weight_gradient = (gradient * centred).sum((0, 2, 3)) * scale
        shift, slope = _everyone(torch.stack([bias_gradient, weight_gradient])) / ctx.places
        inner = torch.addcmul(
            gradient - shift[:, None, None], centred, (slope * scale)[:, None, None], value=-1
        )
        maps_gradient = (inner * (weight * scale)[:, None, None]).to(maps.dtype)
        return maps_gradient, weight_gradient, bias_gradient, None


def _moments(maps: Tensor, *, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all processes, and the places counted; one message.

    Each process centres on its own mean, so that nothing cancels; only the few means are combined
    by their squares, in double precision.
    """
    maps, places = maps.to(dtype), maps.numel() / maps.shape[1]
    own = maps.sum((0, 2, 3)) / places
    spread = torch.linalg.vector_norm(maps - own[:, None, None], dim=(0, 2, 3)).double().square()
    own = own.double()
    count = torch.full_like(own, places)
    sums = _everyone(torch.stack([count, count * own, spread + count * own.square()]))
    mean = sums[1] / sums[0]
    variance = (sums[2] / sums[0] - mean.square()).clamp(min=0)
    return mean.to(dtype), variance.to(dtype), sums[0, 0].to(dtype)


def _everyone(tensor: Tensor) -> Tensor:
    dist.all_reduce(tensor)
    return tensor
