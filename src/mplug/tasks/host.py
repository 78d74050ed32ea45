"""From the host to the device without waiting for it."""

from typing import TypeVar

import torch
from torch import Tensor

Plan = TypeVar("Plan", bound=tuple[Tensor, ...])  # named tensors


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """What was made on the host, on `device`; the host goes on at once."""
    if device.type == "cuda" and not tensor.is_cuda:
        # A copy from other memory waits for all that the device has yet to do.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def send_all(plan: Plan, device: torch.device) -> Plan:
    """The same named tensors, each sent."""
    return type(plan)(*(send(each, device) for each in plan))
