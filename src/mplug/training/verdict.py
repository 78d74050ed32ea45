"""Has a run learned? Its losses on validation batches against what a blind model pays there."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Verdict(NamedTuple):
    """What the pairs say: `gain` is the mean of blind minus value, with its standard error."""

    learned: bool
    gain: float
    standard_error: float
    words: str


def judge(
    pairs: Sequence[tuple[float, float]],
    *,
    otherwise: str,
    margin: float = 0.02,
    errors: float = 3.0,
) -> Verdict:
    """ "learned" if a loss is surely and usefully below its blind value, else `otherwise`.

    `pairs` are (value, blind) of the same batch, so that a hard batch counts the same on both
    sides. The mean gain must exceed `errors` standard errors and `margin` of the mean blind value.

    Raises:
        ValueError: fewer than two pairs, which have no standard error.
    """
    if len(pairs) < 2:
        raise ValueError(f"a verdict needs at least two validation batches, got {len(pairs)}")
    gains = [blind - value for value, blind in pairs]
    gain = statistics.fmean(gains)
    standard_error = statistics.stdev(gains) / math.sqrt(len(gains))
    needed = max(errors * standard_error, margin * abs(statistics.fmean(b for _, b in pairs)))
    learned = gain > needed
    return Verdict(learned, gain, standard_error, "learned" if learned else otherwise)
