"""From the host to the device without waiting for it."""

from typing import Any, TypeVar

import torch
from torch import Tensor

Plan = TypeVar("Plan", bound=tuple[Tensor, ...])  # named tensors


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """What was made on the host, on `device`; the host goes on at once."""
    if torch.device(device).type == "cuda" and not tensor.is_cuda:
        # A copy from other memory waits for all that the device has yet to do.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def send_all(plan: Plan, device: torch.device | str) -> Plan:
    """The same named tensors, each sent."""
    return type(plan)(*(send(each, device) for each in plan))


def sent(batch: Any, device: torch.device | str) -> dict[str, Any]:
    """The tensors among a batch's fields, by name, each sent."""
    return {
        name: send(value, device)
        for name, value in vars(batch).items()
        if isinstance(value, Tensor)
    }
