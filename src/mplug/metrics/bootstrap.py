"""Percentile bootstrap: how far a figure could move had other scenes been drawn.

A statistic must be a function of column sums over scenes, which every figure here is: recall is
hits over queries, micro F1 is counts over counts, CIDEr-D is a mean. Resampling then is one matrix
product of how often each scene was drawn with the columns.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK_CELLS = 4_000_000  # draws held at once, to bound memory


class Interval(NamedTuple):
    """The bounds of an interval."""

    low: float
    high: float


def ratio(sums: Floats) -> Floats:
    """First column over second, 0 where the second is 0: a mean, or hits over queries."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] != 0)


def micro_f1(sums: Floats) -> Floats:
    """F1 from columns of `objects.object_counts`: both, predicted, true."""
    twice = np.stack([2 * sums[:, 0], sums[:, 1] + sums[:, 2]], axis=1)
    return ratio(twice)


def mean_parts(values: npt.ArrayLike, *, scene_of: npt.ArrayLike | None = None) -> Floats:
    """Columns (sum, count) for `ratio` from one value a unit, summed within scenes if given.

    Texts of one image stand and fall together, so they are drawn together: `scene_of` names the
    scene of each unit, counted from 0.
    """
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    if scene_of is None:
        return np.stack([flat, np.ones(len(flat))], axis=1)
    owner = np.asarray(scene_of, dtype=np.int64)
    if owner.shape != flat.shape:
        raise ValueError(f"{len(flat)} values but scenes for {len(owner)}")
    return np.stack([np.bincount(owner, weights=flat), np.bincount(owner)], axis=1)


def interval(
    parts: npt.ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] = ratio,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """The central `level` of the statistic over resampled scenes.

    `parts` is [scenes, columns]; `statistic` maps column sums [resamples, columns] to values
    [resamples]. The same seed gives the same bounds.

    Raises:
        ValueError: there is no scene, or a part is not finite.
    """
    columns = np.asarray(parts, dtype=np.float64)
    if columns.ndim != 2 or not len(columns):
        raise ValueError(f"parts must be [scenes, columns] with a scene, not {columns.shape}")
    if not np.isfinite(columns).all():
        raise ValueError(f"scene {np.argwhere(~np.isfinite(columns))[0][0]} has a part not finite")
    values = statistic(_resampled_sums(columns, resamples, seed))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def difference(
    parts: npt.ArrayLike,
    other: npt.ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] = ratio,
    seed: int = 0,
) -> Interval:
    """The central 95% of one statistic minus another of the same scenes, drawn together.

    Row i of both [scenes, columns] is of scene i: what both find hard cancels out.

    Raises:
        ValueError: the scenes are not as many, or `interval` cannot be had.
    """
    first, second = np.asarray(parts, np.float64), np.asarray(other, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"parts of {first.shape} and of {second.shape} are not of the same scenes")
    columns = first.shape[1]

    def minus(sums: Floats) -> Floats:
        return statistic(sums[:, :columns]) - statistic(sums[:, columns:])

    return interval(np.concatenate([first, second], axis=1), statistic=minus, seed=seed)


def _resampled_sums(columns: Floats, resamples: int, seed: int) -> Floats:
    return np.concatenate([drawn @ columns for drawn in _draws(len(columns), resamples, seed)])


def _draws(scenes: int, resamples: int, seed: int) -> Iterator[Counts]:
    """How often each scene was drawn, some resamples at a time."""
    if scenes * resamples <= _CHUNK_CELLS:
        yield _all_draws(scenes, resamples, seed)
        return
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // scenes)
    for start in range(0, resamples, chunk):
        yield _drawn(random, scenes, min(chunk, resamples - start))


@lru_cache(maxsize=1)
def _all_draws(scenes: int, resamples: int, seed: int) -> Counts:
    """Kept, for an evaluation asks for the same again with every figure."""
    return _drawn(np.random.default_rng(seed), scenes, resamples)


def _drawn(random: np.random.Generator, scenes: int, count: int) -> Counts:
    return random.multinomial(scenes, np.full(scenes, 1.0 / scenes), size=count)
