"""Time spent on updates, by a clock the test turns."""

import pytest

from mplug.training.clock import Clock


class Hand:
    """A clock's hand that moves when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr("mplug.training.clock.time.perf_counter", hand)
    return hand


def test_pauses_do_not_count_towards_seconds_or_pace(hand: Hand) -> None:
    clock = Clock(50.0)
    clock.start(10)
    hand.time += 4
    with clock.pause():
        hand.time += 30
    hand.time += 4
    assert clock.seconds == 58.0
    assert clock.lap(26) == pytest.approx(2.0)
    hand.time += 2
    assert clock.lap(27) == pytest.approx(0.5)


def test_time_left_is_what_this_session_took_so_far_pauses_included(hand: Hand) -> None:
    clock = Clock(1000.0)
    clock.start(10)
    hand.time += 10
    with clock.pause():
        hand.time += 10
    assert clock.left(20, steps=25) == pytest.approx(10.0)
    assert clock.left(25, steps=25) == 0.0


def test_a_pause_that_fails_is_over(hand: Hand) -> None:
    clock = Clock()

    def fail() -> None:
        with clock.pause():
            hand.time += 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    hand.time += 1
    assert clock.seconds == 1.0
