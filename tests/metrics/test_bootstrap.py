"""Bootstrap intervals: against a slow twin, known widths, seeds."""

import math

import numpy as np
import pytest

from mplug.metrics import bootstrap
from mplug.metrics.bootstrap import difference, interval, mean_parts, micro_f1, ratio
from mplug.metrics.objects import object_counts, object_f1


def test_the_interval_of_a_share_is_about_the_binomial_one() -> None:
    values = np.repeat([1.0, 0.0], [100, 300])
    low, high = interval(mean_parts(values))
    margin = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert (low, high) == pytest.approx((0.25 - margin, 0.25 + margin), abs=0.006)


def test_weighted_sums_equal_scenes_drawn_one_by_one() -> None:
    random = np.random.default_rng(1)
    names = list("abcdef")
    sets = [{str(name) for name in random.choice(names, size=2)} for _ in range(60)]
    predicted, true = sets[:30], sets[30:]
    slow = []
    for _ in range(2000):
        drawn = random.integers(30, size=30)
        chosen = ([predicted[scene] for scene in drawn], [true[scene] for scene in drawn])
        slow.append(object_f1(*chosen).f1)
    fast = interval(object_counts(predicted, true), statistic=micro_f1)
    assert fast == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.03)


def test_micro_f1_of_the_sums_is_the_f1_of_the_scenes() -> None:
    predicted, true = [{"a", "b"}, {"c"}], [{"a"}, {"c", "d"}]
    sums = object_counts(predicted, true).sum(axis=0, keepdims=True).astype(float)
    assert micro_f1(sums)[0] == pytest.approx(object_f1(predicted, true).f1)


def test_units_of_one_scene_are_drawn_together() -> None:
    assert mean_parts([1, 0, 1], scene_of=[0, 1, 0]).tolist() == [[2, 2], [0, 1]]
    # Ten copies of each value tell no more than one of each.
    values = np.array([0.0, 1.0] * 20)
    together = interval(mean_parts(np.repeat(values, 10), scene_of=np.repeat(range(40), 10)))
    assert together == pytest.approx(interval(mean_parts(values)))


def test_the_same_seed_gives_the_same_bounds() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert interval(mean_parts(values), seed=3) == interval(mean_parts(values), seed=3)
    assert interval(mean_parts(values), seed=3) != interval(mean_parts(values), seed=4)


def test_values_that_never_vary_leave_no_doubt() -> None:
    assert interval(mean_parts([0.5] * 9)) == pytest.approx((0.5, 0.5))


def test_an_empty_denominator_is_zero() -> None:
    assert ratio(np.array([[0.0, 0.0]])).tolist() == [0.0]


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="with a scene"):
        interval(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="scene 1 has a part not finite"):
        interval([[0.0, 1.0], [math.nan, 1.0]])
    with pytest.raises(ValueError, match="3 values but scenes for 2"):
        mean_parts([1, 2, 3], scene_of=[0, 1])


def test_a_difference_is_drawn_scene_by_scene() -> None:
    random = np.random.default_rng(0)
    hard = random.random(400)  # what both find hard is drawn for both
    parts, other = mean_parts(hard + 0.01), mean_parts(hard)
    low, high = difference(parts, other)
    assert low == pytest.approx(0.01)
    assert high == pytest.approx(0.01)
    assert difference(other, parts).high == pytest.approx(-0.01)


def test_a_difference_needs_the_same_scenes() -> None:
    with pytest.raises(ValueError, match="same scenes"):
        difference(mean_parts([1.0, 0.0]), mean_parts([1.0]))


def test_draws_that_are_kept_are_those_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = mean_parts(np.random.default_rng(1).random(30))
    kept = [interval(parts, resamples=50, seed=seed) for seed in (0, 1, 0)]
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 30 * 7)  # seven resamples a part
    made = [interval(parts, resamples=50, seed=seed) for seed in (0, 1, 0)]
    np.testing.assert_allclose(kept, made)
    assert kept[0] == kept[2] != kept[1]
