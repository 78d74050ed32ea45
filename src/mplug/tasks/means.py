"""Means over the global batch, whatever share of it each process holds."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mplug.training.distributed import Processes
from mplug.training.verdict import judge

Pairs = Sequence[tuple[float, float]]


def global_mean(
    terms: Float[Tensor, "terms"],
    *,
    processes: Processes,
    counted: Bool[Tensor, "terms"] | None = None,
) -> Float[Tensor, ""]:
    """A value whose average over the processes is the mean of all their terms; 0 without any.

    With `counted` only those terms count. Processes may hold different numbers of terms (masked
    words, say); the gradient that DDP averages is then still that of one process with the whole
    batch.
    """
    if counted is None:  # filled on the device: a number that is copied there waits for it
        count = torch.full((), float(terms.numel()), device=terms.device)
    else:
        terms, count = terms.where(counted, 0), counted.sum().float()
    everyone = processes.all_sum(count).clamp(min=1.0)
    return terms.sum() * (processes.world / everyone)


def over_processes(value: Tensor, *, processes: Processes) -> float:
    """The average of the processes' values, as a number."""
    return float(processes.all_sum(value)) / processes.world


def summarise(pairs: Mapping[str, Pairs], *, otherwise: Mapping[str, str]) -> dict[str, float]:
    """Validation losses beside their blind values, and for each whether it has learned (1 or 0).

    `pairs` holds (value, blind) of each validation batch; `otherwise` the words of a verdict.
    """
    figures: dict[str, float] = {}
    for name, values in pairs.items():
        verdict = judge(values, otherwise=otherwise[name])
        figures[f"validation_{name}"] = sum(value for value, _ in values) / len(values)
        figures[f"validation_{name}_blind"] = sum(blind for _, blind in values) / len(values)
        figures[f"learned_{name}"] = float(verdict.learned)
    return figures
