"""BLEU: cases by hand, the official scorer's values, and what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mplug.metrics.bleu import bleu, bleu_parts
from mplug.metrics.captions import ngram_counts
from tests.metrics.golden_captions import CAPTIONS, OFFICIAL


def test_the_official_scores_are_reproduced() -> None:
    corpus, per_image = bleu(*CAPTIONS)
    for n in range(1, 5):
        official = OFFICIAL[f"BLEU-{n}"]
        assert corpus[n - 1] == pytest.approx(official["corpus"], abs=1e-9)
        np.testing.assert_allclose(per_image[:, n - 1], official["per_image"], rtol=0, atol=1e-9)


def test_a_case_by_hand() -> None:
    # "a cat sat here" against "a cat sat down": 3 of 4 words, 2 of 3 pairs, 1 of 2 triples.
    [scores] = bleu([["a", "cat", "sat", "here"]], [[["a", "cat", "sat", "down"]]]).per_image
    expected = [3 / 4, (3 / 4 * 2 / 3) ** (1 / 2), (3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3)]
    np.testing.assert_allclose(scores[:3], expected, atol=1e-8)


def test_a_word_counts_as_often_as_one_reference_has_it() -> None:
    # "the the the" with references that hold one and two "the": two of three are right.
    references = [["the", "cat", "sat"], ["the", "the", "end"]]
    corpus, _ = bleu([["the", "the", "the"]], [references])
    assert corpus[0] == pytest.approx(2 / 3)


def test_a_short_candidate_pays_and_the_closest_reference_is_the_measure() -> None:
    two = [["a", "b"]]
    assert bleu(two, [[["a", "b", "c", "d"]]]).corpus[0] == pytest.approx(math.exp(1 - 4 / 2))
    assert bleu(two, [[["a", "b", "c", "d"], ["a", "b"]]]).corpus[0] == pytest.approx(1)
    # 1 and 3 are equally close to 2: the shorter one counts, so there is no penalty.
    assert bleu(two, [[["a", "b", "c"], ["a"]]]).corpus[0] == pytest.approx(1)


def test_the_corpus_value_adds_counts_and_is_no_mean() -> None:
    # 1 of 1 word and 1 of 3 words: 2 of 4, where the mean of the images is 2 / 3.
    candidates = [["a"], ["a", "x", "y"]]
    corpus, per_image = bleu(candidates, [[["a"]], [["a", "b", "c"]]])
    assert corpus[0] == pytest.approx(2 / 4)
    assert per_image[:, 0].mean() == pytest.approx(2 / 3)


def test_an_empty_candidate_scores_nothing() -> None:
    assert bleu([[]], [[["a"]]]).corpus.tolist() == pytest.approx([0, 0, 0, 0])


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        bleu([], [])
    with pytest.raises(ValueError, match="at least one reference"):
        bleu([["a"]], [[]])
    with pytest.raises(ValueError, match="argument"):
        bleu([["a"]], [])


def slow_parts(candidate: list[str], references: list[list[str]]) -> list[int]:
    """A dictionary for each text."""
    matched = [0] * 4
    known = [ngram_counts(reference) for reference in references]
    for ngram, count in ngram_counts(candidate).items():
        matched[len(ngram) - 1] += min(count, max(counts[ngram] for counts in known))
    length = len(candidate)
    closest = min(map(len, references), key=lambda n: (abs(n - length), n))
    return [*matched, *(max(0, length - n) for n in range(4)), length, closest]


tokens = some.lists(some.sampled_from("abc"), max_size=9)


@given(some.lists(some.tuples(tokens, some.lists(tokens, min_size=1, max_size=3)), min_size=1))
def test_arrays_count_what_dictionaries_count(
    images: list[tuple[list[str], list[list[str]]]],
) -> None:
    candidates, references = [image[0] for image in images], [image[1] for image in images]
    slow = [slow_parts(*image) for image in images]
    assert bleu_parts(candidates, references).tolist() == slow
