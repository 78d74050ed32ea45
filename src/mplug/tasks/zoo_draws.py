"""The random numbers of a step: the same on any device and any number of processes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mplug.training.distributed import Processes


class ZooDraws(NamedTuple):
    """Uniform numbers in [0, 1) for this process's rows of the global batch.

    `most` bounds the words, regions and cells of any batch, so that the numbers do not depend on a
    batch's own padding.
    """

    seed: int
    step: int
    part: int
    most: int
    processes: Processes
    device: torch.device

    def uniform(self, purpose: int, rows: int, *sizes: int) -> Tensor:
        """Numbers [rows, *sizes] that depend on the step and the purpose, drawn for all rows.

        Raises:
            ValueError: the first of the sizes is larger than any should be.
        """
        if sizes and sizes[0] > self.most:
            raise ValueError(f"{sizes[0]} places, but draws are for {self.most}")
        key = (self.seed, self.step, self.part, purpose)
        (state,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state) >> 1)  # torch takes a signed integer
        whole = (self.most, *sizes[1:]) if sizes else ()
        drawn = torch.rand(rows * self.processes.world, *whole, generator=generator)
        mine = drawn[self.processes.rank * rows : (self.processes.rank + 1) * rows]
        return (mine[:, : sizes[0]] if sizes else mine).to(self.device)
