import math

import pytest

from mplug.interfaces.experiments.seeds import over_seeds


def test_three_seeds_have_students_wide_interval() -> None:
    found = over_seeds([0.5, 0.6, 0.7])  # standard deviation 0.1
    assert found.value == pytest.approx(0.6)
    assert found.high - found.value == pytest.approx(4.303 * 0.1 / math.sqrt(3))
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_seeds_that_agree_leave_no_doubt() -> None:
    assert over_seeds([0.25] * 4) == (0.25, 0.25, 0.25)


def test_one_seed_tells_nothing_of_others() -> None:
    value, low, high = over_seeds([0.4])
    assert value == 0.4
    assert math.isnan(low)
    assert math.isnan(high)


def test_no_seed_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([])
