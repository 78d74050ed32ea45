from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mplug.data.batch import Skipped
from mplug.data.items import Item, TaskExample
from mplug.data.mixture import Mixture, turns
from mplug.errors import ConfigError

PICTURE = np.zeros((3, 1, 1), dtype=np.float32)
SHARES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@dataclass(frozen=True)
class Named:
    """Examples whose text is the part's name, the position and the seed."""

    name: int
    length: int = 7

    def __len__(self) -> int:
        return self.length

    def example(self, position: int, *, seed: int) -> TaskExample:
        skipped = (Skipped(position % self.length, "a.png", "is empty"),)
        item = Item((0,), [self.name, position, seed])
        return TaskExample((PICTURE,), {"entail": (item,)}, skipped=skipped)


def asked(mixture: Mixture, position: int, *, seed: int = 0) -> list[int]:
    return mixture.example(position, seed=seed).items["entail"][0].text


@settings(max_examples=30, deadline=None)
@given(SHARES)
def test_a_round_gives_every_part_its_turns_and_every_beginning_of_it_nearly(
    shares: list[int],
) -> None:
    order = turns(shares)
    assert Counter(order) == dict(enumerate(shares))
    for length in range(len(order)):
        for part, share in enumerate(shares):
            assert abs(order[:length].count(part) - length * share / len(order)) < 1


@settings(max_examples=30, deadline=None)
@given(SHARES, st.integers(0, 1000), st.integers(1, 40))
def test_any_run_of_positions_has_nearly_the_shares(
    shares: list[int], start: int, length: int
) -> None:
    mixture = Mixture([(Named(part), share) for part, share in enumerate(shares)])
    found = Counter(mixture.place(place)[0] for place in range(start, start + length))
    for part, share in enumerate(shares):
        assert abs(found[part] - length * share / sum(shares)) < 2
        assert found[part] or length < sum(shares)


@settings(max_examples=30, deadline=None)
@given(SHARES)
def test_every_part_is_gone_through_in_its_own_positions(shares: list[int]) -> None:
    mixture = Mixture([(Named(part), share) for part, share in enumerate(shares)])
    seen = Counter[int]()
    for position in range(3 * sum(shares)):
        part, place, _ = asked(mixture, position)
        assert place == seen[part]
        seen[part] += 1


def test_the_pattern_repeats_and_far_positions_are_counted_exactly() -> None:
    mixture = Mixture([(Named(0), 3), (Named(1), 1)])
    assert [asked(mixture, place)[0] for place in range(8)] == [0, 0, 0, 1] * 2
    assert asked(mixture, 4 * 10**12 + 3, seed=5) == [1, 10**12, 5]


def test_an_epoch_has_as_many_examples_as_all_parts_and_items_are_numbered_through() -> None:
    mixture = Mixture([(Named(0, length=7), 1), (Named(1, length=5), 1)])
    assert len(mixture) == 12
    assert [skip.item for skip in mixture.example(2, seed=0).skipped] == [1]
    assert [skip.item for skip in mixture.example(3, seed=0).skipped] == [7 + 1]


def test_parts_and_shares_are_needed() -> None:
    with pytest.raises(ConfigError, match="needs parts"):
        Mixture([])
    with pytest.raises(ConfigError, match="share of 1 or more"):
        Mixture([(Named(0), 0)])
