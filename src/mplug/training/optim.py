"""AdamW over a task's parameter groups, a schedule that is a function of the step, clipping."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mplug.training.task import Group

FUSED_DEVICES = ("cpu", "cuda", "mps")
SCALING_DEVICES = ("cpu", "cuda")  # whose fused update divides gradients by `grad_scale`


def learning_rate(
    step: int, *, base: float, warmup_steps: int, steps: int, final_share: float
) -> float:
    """The rate of update `step` (from 0): a linear climb to `base`, then half a cosine.

    The climb takes `warmup_steps` updates and the last of them has `base`; update `steps`, the
    first that is not run, would have `base * final_share`.
    """
    if step < warmup_steps:
        return base * (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return base * (final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2)


def build_optimizer(
    groups: Sequence[Group],
    *,
    weight_decay: float,
    betas: tuple[float, float],
    device: torch.device,
    eps: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW with each group split into decayed and spared parameters; `base_lr` is its peak rate.

    Parameters without `requires_grad` are left out. Every group keeps `names`, the parameters'
    names in order, so that its state can be saved by name.
    """
    split: list[dict[str, Any]] = []
    for group in groups:
        trainable = [(name, value) for name, value in group.parameters if value.requires_grad]
        decayed = [(n, p) for n, p in trainable if p.ndim >= 2 and n not in group.undecayed]
        spared = [(n, p) for n, p in trainable if p.ndim < 2 or n in group.undecayed]
        for members, decay in ((decayed, weight_decay), (spared, 0.0)):
            if members:
                split.append(
                    {
                        "params": [parameter for _, parameter in members],
                        "names": [name for name, _ in members],
                        "base_lr": group.lr,
                        "weight_decay": decay,
                    }
                )
    optimizer = torch.optim.AdamW(
        split, lr=0.0, betas=betas, eps=eps, fused=device.type in FUSED_DEVICES
    )
    _begin_averages(optimizer)
    return optimizer


def _begin_averages(optimizer: torch.optim.AdamW) -> None:
    """Make the averages that AdamW would make at its first update.

    Made among what a step holds and lets go, they would lie between its states for good, and large
    blocks would fit nowhere: 3% of a step's memory at base size.
    """
    for parameter in _parameters(optimizer):
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


def check_groups(groups: Sequence[Group], *, trainable: Sequence[tuple[str, nn.Parameter]]) -> None:
    """Every trainable parameter belongs to exactly one group.

    Raises:
        ValueError: naming the parameters that are in no group, or in two.
    """
    seen: dict[int, str] = {}
    twice = []
    for group in groups:
        for name, parameter in group.parameters:
            if id(parameter) in seen:
                twice.append(name)
            seen[id(parameter)] = name
    missing = [name for name, parameter in trainable if id(parameter) not in seen]
    if missing or twice:
        raise ValueError(f"parameters in no group: {missing}; in more than one: {twice}")


def set_learning_rate(
    optimizer: torch.optim.AdamW, *, step: int, warmup_steps: int, steps: int, final_share: float
) -> float:
    """Give every group its rate for update `step` (from 0); returns the largest of them."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(
            step,
            base=group["base_lr"],
            warmup_steps=warmup_steps,
            steps=steps,
            final_share=final_share,
        )
    return max(group["lr"] for group in optimizer.param_groups)


def gradient_norm(optimizer: torch.optim.AdamW) -> Tensor:
    """The norm of all gradients together; 0 without any."""
    gradients = [p.grad for p in _parameters(optimizer) if p.grad is not None]
    if gradients and all(gradient.device.type == "cpu" for gradient in gradients):
        # A product of vectors uses every thread, and sums many small numbers more exactly than
        # torch's norms: those of a large table come out a thousandth too small.
        flat = [gradient.flatten() for gradient in gradients]
        return torch.stack([torch.dot(each, each) for each in flat]).sum().sqrt()
    return nn.utils.get_total_norm(gradients, foreach=True)


def clip_gradients(optimizer: torch.optim.AdamW, *, norm: Tensor, max_norm: float) -> None:
    """Scale all gradients, whose norm is `norm`, together to a norm of at most `max_norm`.

    A fused update does so itself as it reads them, for nothing; until then they stay as they are.
    """
    if optimizer.defaults["fused"] and norm.device.type in SCALING_DEVICES:
        too_long_by = ((norm + 1e-6) / max_norm).clamp(min=1)  # as torch's own clipping has it
        optimizer.grad_scale = too_long_by  # type: ignore[attr-defined]
    else:
        nn.utils.clip_grads_with_norm_(_parameters(optimizer), max_norm, norm, foreach=True)


def _parameters(optimizer: torch.optim.AdamW) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
