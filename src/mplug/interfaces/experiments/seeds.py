"""A figure over several seeds: its mean, and the 95% interval that so few runs allow."""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

# Student's t, two-sided 95%, by degrees of freedom from 1: with few seeds it is far above 1.96.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
NORMAL_95 = 1.96


class OverSeeds(NamedTuple):
    """A mean with its interval; of a single seed the interval is not known (nan)."""

    value: float
    low: float
    high: float


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """The mean of runs that differ in their seed, with Student's interval of that mean.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no seed has a value")
    middle = mean(values)
    if len(values) == 1:
        return OverSeeds(middle, math.nan, math.nan)
    freedom = len(values) - 1
    t = T_95[freedom - 1] if freedom <= len(T_95) else NORMAL_95
    half = t * stdev(values) / math.sqrt(len(values))
    return OverSeeds(middle, middle - half, middle + half)
