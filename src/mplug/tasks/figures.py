"""A figure as evaluations give it: with its interval, and what is had without seeing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mplug.metrics.bootstrap import interval, ratio
from mplug.metrics.signature import Signature

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One figure with its interval, what it is compared with, and how it was computed.

    It is `statistic` of the sums of `parts` [scenes, columns], so that two models' figures on the
    same scenes can be compared scene by scene.
    """

    task: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    baselines: Mapping[str, float]
    signature: str
    parts: Floats = field(repr=False, compare=False)
    statistic: Callable[[Floats], Floats] = field(repr=False, compare=False)


def figure_of(
    task: str,
    signature: Signature,
    parts: Floats,
    *,
    baselines: Mapping[str, float],
    statistic: Callable[[Floats], Floats] = ratio,
    settings: Mapping[str, str] | None = None,
    metric: str | None = None,
) -> Figure:
    """The statistic of one row of parts a scene [scenes, columns], with its interval.

    `metric` is the figure's name, where it is not the signature's.
    """
    low, high = interval(parts, statistic=statistic)
    signature = replace(signature, settings={**signature.settings, **(settings or {})})
    return Figure(
        task=task,
        metric=metric or signature.metric,
        value=value_of(parts, statistic),
        low=low,
        high=high,
        n=len(parts),
        baselines=dict(baselines),
        signature=str(signature),
        parts=parts,
        statistic=statistic,
    )


def value_of(parts: Floats, statistic: Callable[[Floats], Floats]) -> float:
    """The statistic of all parts together."""
    return float(statistic(parts.sum(axis=0, keepdims=True))[0])
