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
        own = maps.new_tensor([maps.numel() / maps.shape[1]])
        sums = _everyone(torch.cat([maps.sum((0, 2, 3)), own]))
        places = sums[-1]
        mean = sums[:-1] / places
        centred = maps - mean[:, None, None]
        variance = _everyone(centred.square().sum((0, 2, 3))) / places
        scale = (variance + eps).rsqrt()
        normalised = centred * scale[:, None, None]
        ctx.save_for_backward(normalised, weight, scale)
        ctx.places = places
        ctx.mark_non_differentiable(mean, variance, places)
        return normalised * weight[:, None, None] + bias[:, None, None], mean, variance, places

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        normalised, weight, scale = ctx.saved_tensors
        gradient = gradients[0]
        bias_gradient = gradient.sum((0, 2, 3))
        weight_gradient = (gradient * normalised).sum((0, 2, 3))
        sums = _everyone(torch.stack([bias_gradient, weight_gradient])) / ctx.places
        inner = gradient - sums[0][:, None, None] - normalised * sums[1][:, None, None]
        return inner * (weight * scale)[:, None, None], weight_gradient, bias_gradient, None


def _everyone(tensor: Tensor) -> Tensor:
    dist.all_reduce(tensor)
    return tensor
