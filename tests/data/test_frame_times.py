import pytest
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.frame_times import Packet, Wanted, choose, counted, has_times, span


def steady(count: int, *, keyframe_every: int = 4) -> list[Packet]:
    return [Packet(10 * i, 10, i % keyframe_every == 0) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "frames", "chosen"),
    [
        (10, 1, [5]),
        (10, 2, [2, 7]),
        (10, 5, [1, 3, 5, 7, 9]),
        (10, 10, [*range(10)]),
        (3, 6, [0, 0, 1, 1, 2, 2]),
        (2, 3, [0, 1, 1]),
        (1, 4, [0, 0, 0, 0]),
    ],
)
def test_frames_stand_at_the_centres_of_equal_segments(
    count: int, frames: int, chosen: list[int]
) -> None:
    assert [one.place // 10 for one in choose(steady(count), frames=frames)] == chosen


def test_a_frame_that_stays_long_is_chosen_as_often_as_it_shows() -> None:
    slow = [Packet(0, 10, True), Packet(10, 80), Packet(90, 10)]
    assert [one.place for one in choose(slow, frames=10)] == [0, *[10] * 8, 90]


def test_decoding_begins_at_the_last_keyframe_that_is_shown_before() -> None:
    # The second keyframe is stored before a frame (at 30) that is shown before it.
    stored = [Packet(0, 10, True), Packet(20, 10), Packet(10, 10)]
    stored += [Packet(40, 10, True), Packet(30, 10), Packet(50, 10)]
    assert choose(stored, frames=6) == [
        Wanted(0, 0),
        Wanted(10, 0),
        Wanted(20, 0),
        Wanted(30, 0),
        Wanted(40, 3),
        Wanted(50, 3),
    ]


def test_without_a_keyframe_decoding_begins_at_the_beginning() -> None:
    assert choose([Packet(0, 1), Packet(1, 1)], frames=1) == [Wanted(1, 0)]


def test_the_last_frame_lasts_as_long_as_others_where_nothing_says() -> None:
    assert span([Packet(100), Packet(110), Packet(120)]) == (100, 130)
    assert span([Packet(7)]) == (7, 8)


def test_what_is_not_shown_is_not_chosen() -> None:
    stored = [Packet(0, 10, True, False), Packet(10, 10), Packet(20, 10)]
    assert choose(stored, frames=2) == [Wanted(10, 0), Wanted(20, 0)]


def test_times_count_only_if_every_frame_has_its_own() -> None:
    assert has_times(steady(3))
    assert has_times([Packet(None, is_shown=False), Packet(1)])
    assert not has_times([Packet(0), Packet(None)])
    assert not has_times([Packet(0), Packet(0)])
    assert not has_times([])
    assert [one.place for one in counted([Packet(None), Packet(None)])] == [0, 1]


@given(st.sets(st.integers(-1000, 10**12), min_size=1, max_size=30), st.integers(1, 40), st.data())
def test_any_times_give_as_many_frames_as_wanted_in_order(
    times: set[int], frames: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sorted(times)))
    stored = [Packet(time, 0, index % 3 == 0) for index, time in enumerate(order)]
    wanted = choose(stored, frames=frames)
    assert len(wanted) == frames
    assert [one.place for one in wanted] == sorted(one.place for one in wanted)
    assert {one.place for one in wanted} <= times
