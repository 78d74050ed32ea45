"""The random numbers of a training step: the same on any device and any number of processes."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mplug.training.distributed import Processes


class Draws(NamedTuple):
    """Uniform numbers in [0, 1) for this process's rows of the global batch, on the host."""

    negative_images: Float[Tensor, "batch"]
    negative_texts: Float[Tensor, "batch"]
    masking: Float[Tensor, "batch words 3"]
    prefix: Float[Tensor, "batch 2"]


def draw(
    *,
    seed: int,
    step: int,
    part: int,
    rows: int,
    words: int,
    longest: int,
    processes: Processes,
) -> Draws:
    """Draw for every process's rows from (seed, step, part of an accumulated step); keep our own.

    `longest` bounds any caption, so that the numbers do not depend on a batch's own padding.
    """
    (state,) = np.random.SeedSequence((seed, step, part)).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state) >> 1)  # torch takes a signed integer
    everyone = rows * processes.world
    mine = slice(processes.rank * rows, (processes.rank + 1) * rows)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(everyone, *shape, generator=generator)[mine]

    return Draws(uniform(), uniform(), uniform(longest, 3)[:, :words], uniform(2))
