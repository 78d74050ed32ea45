"""The random numbers of a UNITER step: the same on any device and any number of processes."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mplug.training.distributed import Processes

OBJECTIVE = 1 << 20  # a place that no accumulated part has
Name = TypeVar("Name", bound=str)


class RegionDraws(NamedTuple):
    """Uniform numbers in [0, 1) for this process's rows of the global batch."""

    wrong: Float[Tensor, "batch"]
    partner: Float[Tensor, "batch"]
    words: Float[Tensor, "batch words 3"]
    regions: Float[Tensor, "batch regions"]


def draw_objective(shares: Mapping[Name, float], *, seed: int, step: int) -> Name:
    """The one objective of a step, as often as its share says; all processes draw the same."""
    drawn = np.random.default_rng((seed, step, OBJECTIVE)).random()
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if drawn < reached:
            return name
    return name  # rounding left a little of the last one's share


def draw_regions(
    *,
    seed: int,
    step: int,
    part: int,
    shape: tuple[int, int, int],
    most: tuple[int, int],
    processes: Processes,
    device: torch.device,
) -> RegionDraws:
    """Draw for every process's rows from (seed, step, part of an accumulated step); keep our own.

    `shape` is this batch's rows, words and regions; `most` bounds the words and regions of any
    batch, so that the numbers do not depend on a batch's own padding.
    """
    rows, words, regions = shape
    (state,) = np.random.SeedSequence((seed, step, part)).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state) >> 1)  # torch takes a signed integer
    everyone = rows * processes.world
    mine = slice(processes.rank * rows, (processes.rank + 1) * rows)

    def uniform(*sizes: int) -> Tensor:
        return torch.rand(everyone, *sizes, generator=generator)[mine].to(device)

    longest, widest = most
    return RegionDraws(
        uniform(), uniform(), uniform(longest, 3)[:, :words], uniform(widest)[:, :regions]
    )
