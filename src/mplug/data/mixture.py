"""Several data sets as one: each fills the part of every batch that its share says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mplug.data.batch import Examples
from mplug.data.items import TaskExample
from mplug.errors import ConfigError


class Mixture:
    """Examples of several data sets, taken in turns that repeat every `sum of shares` positions.

    Any run of positions, such as one process's part of a batch, holds each data set's share, less
    or more than two examples off. Each data set is gone through in its own order and epochs;
    `len` is the sum of all, so that an epoch has as many examples as there are.

    Raises:
        ConfigError: there are no parts, or a share is below 1.
    """

    def __init__(self, parts: Sequence[tuple[Examples[TaskExample], int]]) -> None:
        shares = [share for _, share in parts]
        if not parts or min(shares) < 1:
            raise ConfigError(
                f"shares {shares}: a mixture needs parts, each with a share of 1 or more"
            )
        self.parts = tuple(part for part, _ in parts)
        self.shares = tuple(shares)
        self.turns = turns(self.shares)
        self._before = _counted(self.turns)
        # Where each part's items begin when all are numbered in a row.
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        """Examples in all parts."""
        return int(self._starts[-1])

    def example(self, position: int, *, seed: int) -> TaskExample:
        """The example at `position`, which is one part's next."""
        part, place = self.place(position)
        example = self.parts[part].example(place, seed=seed)
        start = int(self._starts[part])
        skipped = tuple(replace(skip, item=start + skip.item) for skip in example.skipped)
        return replace(example, skipped=skipped)

    def place(self, position: int) -> tuple[int, int]:
        """Whose turn `position` is, and the position of that part's example."""
        rounds, turn = divmod(position, len(self.turns))
        part = self.turns[turn]
        return part, rounds * self.shares[part] + self._before[turn]


def _counted(order: Sequence[int]) -> tuple[int, ...]:
    """How often each turn's part had its turn before."""
    seen: Counter[int] = Counter()
    before = []
    for part in order:
        before.append(seen[part])
        seen[part] += 1
    return tuple(before)


def turns(shares: Sequence[int]) -> tuple[int, ...]:
    """Whose turn it is, by part: `shares[part]` turns each, spread so evenly that in every
    beginning each part has had less than one turn too many or too few.
    """
    total = sum(shares)
    taken = [0] * len(shares)
    order: list[int] = []
    for place in range(total):
        # A part's next turn may not come before `taken / share` of the round, nor later than
        # `(taken + 1) / share`: the one that must come first of those that may come now always
        # fits (earliest deadline first).
        ready = [part for part, share in enumerate(shares) if taken[part] * total // share <= place]
        next_part = min(ready, key=lambda part: -(-(taken[part] + 1) * total // shares[part]))
        taken[next_part] += 1
        order.append(next_part)
    return tuple(order)
