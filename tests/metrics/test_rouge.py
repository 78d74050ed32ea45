"""ROUGE-L: cases by hand, the official scorer's values, and the slow twin of its fast part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mplug.metrics.rouge import common_length, rouge_l
from tests.metrics.golden_captions import CAPTIONS, OFFICIAL


def test_the_official_scores_are_reproduced() -> None:
    scores, official = rouge_l(*CAPTIONS), OFFICIAL["ROUGE-L"]
    np.testing.assert_allclose(scores, official["per_image"], rtol=0, atol=1e-9)
    assert scores.mean() == pytest.approx(official["corpus"], abs=1e-9)


def test_a_case_by_hand() -> None:
    # "a dog here" in "a big dog sat here now": 3 in common, precision 3/3, recall 3/6.
    [score] = rouge_l([["a", "dog", "here"]], [[["a", "big", "dog", "sat", "here", "now"]]])
    assert score == pytest.approx((1 + 1.44) * 1 * 0.5 / (0.5 + 1.44 * 1))


def test_precision_and_recall_may_come_from_different_references() -> None:
    # ["a", "b"]: precision 2/2 from the first reference, recall 1/1 from the second.
    [score] = rouge_l([["a", "b"]], [[["a", "x", "b", "y"], ["b"]]])
    assert score == pytest.approx(1)


def test_nothing_in_common_scores_nothing() -> None:
    assert rouge_l([["a"], [], ["a"]], [[["b"]], [["a"]], [[]]]).tolist() == [0, 0, 0]


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        rouge_l([["a"]], [[]])


def slow_common_length(first: list[str], second: list[str]) -> int:
    """The usual table."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for row, mine in enumerate(first):
        for column, yours in enumerate(second):
            grown = table[row][column] + 1
            kept = max(table[row][column + 1], table[row + 1][column])
            table[row + 1][column + 1] = grown if mine == yours else kept
    return table[-1][-1]


tokens = some.lists(some.sampled_from("abcd"), max_size=12)


@given(tokens, tokens)
def test_bits_count_what_the_table_counts(first: list[str], second: list[str]) -> None:
    assert common_length(first, second) == slow_common_length(first, second)
