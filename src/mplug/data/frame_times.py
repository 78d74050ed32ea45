"""Which frames of a clip to show, from how it is stored: times and keyframes, nothing decoded."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Packet(NamedTuple):
    """A frame as it is stored; packets lie in the order in which they are decoded."""

    place: int | None  # when it is shown, in the stream's own unit; None where nothing says
    duration: int = 0  # in the same unit; 0 where nothing says
    is_keyframe: bool = False
    is_shown: bool = True  # some only help to decode others


class Wanted(NamedTuple):
    """A frame to decode: when it is shown, and the packet from which decoding can begin."""

    place: int
    start: int


def has_times(packets: Sequence[Packet]) -> bool:
    """Whether every frame that is shown has a time of its own."""
    places = [one.place for one in packets if one.is_shown]
    return bool(places) and None not in places and len(set(places)) == len(places)


def counted(packets: Sequence[Packet]) -> list[Packet]:
    """The same packets with their numbers for times."""
    return [Packet(place, 1, one.is_keyframe) for place, one in enumerate(packets)]


def span(packets: Sequence[Packet]) -> tuple[int, int]:
    """When the first frame begins and the last ends; without a duration, it lasts as others do."""
    shown = sorted(_shown(packets))
    (begin, _), (last, duration) = shown[0], shown[-1]
    usual = max(1, (last - begin) // max(1, len(shown) - 1))
    return begin, last + (duration if duration > 0 else usual)


def choose(packets: Sequence[Packet], *, frames: int) -> list[Wanted]:
    """The frame that shows at the centre of each of `frames` equal segments, in order.

    Packets must have times (`has_times`), and one must be shown. Of a clip with fewer frames, some
    are wanted more than once.
    """
    begin, end = span(packets)
    places = sorted(place for place, _ in _shown(packets))
    keyframes = sorted(
        (one.place, index)
        for index, one in enumerate(packets)
        if one.is_keyframe and one.place is not None
    )
    wanted = []
    for number in range(frames):
        # The centre is begin + (number + 1/2) / frames of the span; in integers, so exactly.
        centre = begin + (2 * number + 1) * (end - begin) // (2 * frames)
        place = places[max(0, bisect_right(places, centre) - 1)]
        # A keyframe shown later than a frame is of no use to it, though it may be stored earlier.
        before = bisect_right(keyframes, (place, len(packets)))
        wanted.append(Wanted(place, keyframes[before - 1][1] if before else 0))
    return wanted


def _shown(packets: Sequence[Packet]) -> Iterator[tuple[int, int]]:
    """When each frame is shown, and for how long."""
    for one in packets:
        if one.is_shown and one.place is not None:
            yield one.place, one.duration
