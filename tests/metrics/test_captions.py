"""CIDEr-D: a case by hand, the official scorer's values, and what must not matter."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mplug.metrics.captions import (
    CiderD,
    DocumentFrequency,
    ngram_counts,
    simple_tokens,
)
from mplug.metrics.cider import FixedCiderD, cider_d

# Written by pycocoevalcap 1.2 (PTB tokens, CIDEr-D of each image over these 300 images).
OFFICIAL = [
    json.loads(line)
    for line in (Path(__file__).parent / "tokenised_captions.jsonl").read_text("utf-8").splitlines()
]
CANDIDATES = [row["candidate"].split() for row in OFFICIAL]
REFERENCES = [[text.split() for text in row["references"]] for row in OFFICIAL]


def test_the_official_scores_are_reproduced_per_image_and_in_the_mean() -> None:
    scores = cider_d(CANDIDATES, REFERENCES)
    expected = np.array([row["cider_d"] for row in OFFICIAL])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)
    assert scores.mean() == pytest.approx(3.1095248603247723, abs=1e-9)


def test_ngrams_of_a_short_caption() -> None:
    assert ngram_counts(["a", "red", "a"], max_n=2) == {
        ("a",): 2,
        ("red",): 1,
        ("a", "red"): 1,
        ("red", "a"): 1,
    }


def test_a_case_by_hand() -> None:
    # Two images; "cat" and "dog" each occur in one, so both weigh log 2, and "a" weighs log 1 = 0.
    # "a cat" against itself: unigrams and bigrams agree, there are no longer n-grams: 10 * 2 / 4.
    assert cider_d([["a", "cat"], ["a", "cat"]], [[["a", "cat"]], [["a", "dog"]]]).tolist() == (
        pytest.approx([5.0, 0.0])
    )


def test_a_longer_caption_pays_for_its_length_and_repeats_are_clipped() -> None:
    frequency = DocumentFrequency.of([[["cat"]], [["dog"]]])
    score = CiderD(frequency).score(["cat", "cat"], [["cat"]])
    # Unigram: min(2, 1) * 1 / (2 * 1) = 1/2 over 4 sizes of n-gram; one bigram too long.
    assert score == pytest.approx(10 * 0.5 / 4 * math.exp(-1 / 72))


def test_the_order_of_images_and_of_references_changes_nothing() -> None:
    backwards = cider_d(CANDIDATES[:40][::-1], [texts[::-1] for texts in REFERENCES[:40][::-1]])
    np.testing.assert_allclose(backwards[::-1], cider_d(CANDIDATES[:40], REFERENCES[:40]))


def test_an_empty_caption_scores_nothing() -> None:
    assert cider_d([[], ["dog"]], [[["cat"]], [["dog"]]])[0] == 0


def test_words_no_reference_holds_count_as_the_rarest() -> None:
    frequency = DocumentFrequency.of([[["cat"]], [["dog"]]])
    alone = CiderD(frequency).score(["cat"], [["cat"]])
    with_stranger = CiderD(frequency).score(["cat", "yak"], [["cat"]])
    assert with_stranger == pytest.approx(alone / math.sqrt(2) * math.exp(-1 / 72))


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        cider_d([["cat"]], [[]])
    with pytest.raises(ValueError, match="at least one image"):
        CiderD(DocumentFrequency({}, 0))
    with pytest.raises(ValueError, match="argument"):
        cider_d([["cat"]], [[["cat"]], [["dog"]]])


def test_simple_tokens_are_lower_case_letters_and_digits() -> None:
    assert simple_tokens("A T-shirt, 2 cafés_here!") == ["a", "t", "shirt", "2", "cafés", "here"]


tokens = some.lists(some.sampled_from("abc"), max_size=9)


@given(some.lists(some.tuples(tokens, some.lists(tokens, min_size=1, max_size=3)), min_size=1))
def test_arrays_score_what_dictionaries_score(
    images: list[tuple[list[str], list[list[str]]]],
) -> None:
    candidates, references = [image[0] for image in images], [image[1] for image in images]
    slow = CiderD(DocumentFrequency.of(references)).scores(candidates, references)
    np.testing.assert_allclose(cider_d(candidates, references), slow, rtol=0, atol=1e-12)


known = some.dictionaries(
    some.lists(some.sampled_from("abc"), min_size=1, max_size=4).map(tuple),
    some.integers(1, 7),
)
asked = some.lists(some.sampled_from("abxy"), max_size=9)  # some words that nobody knows


@given(known, some.lists(some.tuples(asked, some.lists(asked, min_size=1, max_size=3)), min_size=1))
def test_given_frequencies_weigh_alike_in_arrays_and_in_dictionaries(
    counts: dict[tuple[str, ...], int], images: list[tuple[list[str], list[list[str]]]]
) -> None:
    frequency = DocumentFrequency(counts, 7)
    pairs = [image[0] for image in images], [image[1] for image in images]
    slow = CiderD(frequency).scores(*pairs)
    np.testing.assert_allclose(FixedCiderD(frequency).scores(*pairs), slow, rtol=0, atol=1e-12)


def test_samples_of_an_image_meet_its_references() -> None:
    frequency = DocumentFrequency.of(REFERENCES)
    samples = [CANDIDATES[:3], [], CANDIDATES[3:5]]
    scorer = CiderD(frequency)
    found = FixedCiderD(frequency).of_samples(samples, REFERENCES[:3])
    for scores, said, texts in zip(found, samples, REFERENCES, strict=False):
        assert scores == pytest.approx([scorer.score(tokens, texts) for tokens in said])


def test_fixed_frequencies_refuse_what_they_cannot_score() -> None:
    with pytest.raises(ValueError, match="frequencies from at least one image"):
        FixedCiderD(DocumentFrequency({}, 0))
    with pytest.raises(ValueError, match="at least one reference for every image"):
        FixedCiderD(DocumentFrequency({}, 1)).scores([["a"]], [[]])


def test_a_reference_is_counted_once_however_many_candidates_it_meets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scorer = CiderD(DocumentFrequency.of(REFERENCES))
    counted: list[tuple[str, ...]] = []
    vector = scorer._vector

    def counting(tokens: Sequence[str]) -> Any:
        counted.append(tuple(tokens))
        return vector(tokens)

    monkeypatch.setattr(scorer, "_vector", counting)
    samples = [scorer.score(candidate, REFERENCES[0]) for candidate in CANDIDATES[:7]]
    assert len(counted) == 7 + len({tuple(tokens) for tokens in REFERENCES[0]})
    fresh = CiderD(DocumentFrequency.of(REFERENCES))
    assert samples == [fresh.score(candidate, REFERENCES[0]) for candidate in CANDIDATES[:7]]
