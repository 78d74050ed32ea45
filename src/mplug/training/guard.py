"""Losses and gradients that are not finite stop a run before they reach the parameters."""

import torch
from torch import Tensor

NONE = -1


class FiniteGuard:
    """Remembers the first update whose numbers were bad, and keeps every later one from happening.

    Reading a GPU's numbers makes the host wait for it. There the guard tells the fused optimiser,
    on the device, to skip its updates from the first bad one on, and is read when the run looks
    at other numbers anyway; elsewhere it is read before every update.
    """

    def __init__(self, optimizer: torch.optim.AdamW, *, device: torch.device) -> None:
        self.immediate = device.type != "cuda"
        self._first_bad = torch.full((), NONE, dtype=torch.int64, device=device)
        self._optimizer = optimizer

    def watch(self, values: Tensor, *, step: int) -> None:
        """Take the losses and the gradient norm of update `step`, before it happens."""
        bad = ~torch.isfinite(values).all()
        self._first_bad = torch.where(
            bad & (self._first_bad == NONE), torch.full_like(self._first_bad, step), self._first_bad
        )
        if not self.immediate:
            self._optimizer.found_inf = (self._first_bad != NONE).float()  # type: ignore[attr-defined]

    def first_bad(self) -> int | None:
        """The first update with bad numbers; makes the host wait for the device."""
        step = int(self._first_bad.item())
        return None if step == NONE else step
