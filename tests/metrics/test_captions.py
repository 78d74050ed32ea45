"""CIDEr-D: a case by hand, the official scorer's values, and what must not matter."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mplug.metrics.captions import (
    CiderD,
    DocumentFrequency,
    cider_d,
    ngram_counts,
    simple_tokens,
)

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
