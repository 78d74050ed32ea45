"""Boxes: overlaps a person can count on squared paper, and what the threshold makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mplug.metrics.bootstrap import interval, mean_parts
from mplug.metrics.grounding import clipped, grounding_accuracy, iou

SQUARE = [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (SQUARE, 1.0),
        ([1, 0, 3, 2], 2 / 6),  # two of four squares shared, six in all
        ([0, 0, 2, 1], 2 / 4),
        ([1, 1, 3, 3], 1 / 7),
        ([2, 0, 4, 2], 0.0),  # they touch
        ([5, 5, 6, 6], 0.0),
        ([1, 1, 1, 3], 0.0),  # no area
        ([2, 2, 0, 0], 0.0),  # inside out
    ],
)
def test_overlaps_by_hand(box: list[int], expected: float) -> None:
    assert iou([SQUARE], [box])[0, 0] == pytest.approx(expected)


def test_every_box_meets_every_other() -> None:
    assert iou([SQUARE, [2, 0, 4, 2]], [SQUARE, [1, 0, 3, 2], [2, 0, 4, 1]]) == pytest.approx(
        np.array([[1, 1 / 3, 0], [0, 1 / 3, 1 / 2]])
    )


def test_half_an_overlap_is_found_and_less_is_not() -> None:
    scores = grounding_accuracy(
        [[0, 0, 2, 1], [1, 0, 3, 2], SQUARE], [SQUARE, SQUARE, [[9, 9, 10, 10], SQUARE]]
    )
    assert scores.found.tolist() == [1, 0, 1]  # the last phrase has two true boxes
    assert scores.iou == pytest.approx([1 / 2, 1 / 3, 1])
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.mean_iou == pytest.approx(11 / 18)
    assert grounding_accuracy([[1, 0, 3, 2]], [SQUARE], threshold=0.3).accuracy == 1


def test_a_prediction_is_cut_off_at_the_border() -> None:
    assert clipped([[-5, 3, 12, 20]], width=10, height=8).tolist() == [[0, 3, 10, 8]]


def test_phrases_can_be_resampled() -> None:
    found = grounding_accuracy([SQUARE] * 4, [SQUARE] * 4).found
    assert interval(mean_parts(found)) == (1, 1)


numbers = some.floats(0, 1, width=32)
box = some.tuples(numbers, numbers, numbers, numbers)


@given(box, box)
def test_overlap_is_symmetric_and_between_nothing_and_all(
    first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    overlap = iou([first], [second])[0, 0]
    assert overlap == iou([second], [first])[0, 0]
    assert 0 <= overlap <= 1 + 1e-12


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"boxes must be \[boxes, 4\], not of shape \[1, 3\]"):
        iou([[0, 0, 1]], [SQUARE])
    with pytest.raises(ValueError, match="others is not finite"):
        iou([SQUARE], [[0, 0, 1, np.nan]])
    with pytest.raises(ValueError, match="at least one phrase"):
        grounding_accuracy([], [])
    with pytest.raises(ValueError, match="1 predicted boxes but true ones for 2 phrases"):
        grounding_accuracy([SQUARE], [SQUARE, SQUARE])
    with pytest.raises(ValueError, match="phrase 1 has no true box"):
        grounding_accuracy([SQUARE, SQUARE], [SQUARE, []])
    with pytest.raises(ValueError, match="phrase 0 has a true box without area"):
        grounding_accuracy([SQUARE], [[1, 1, 1, 2]])
