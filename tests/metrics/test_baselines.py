"""Baselines that do not learn: by hand on pictures of a few pixels."""

import math

import numpy as np
import pytest

from mplug.metrics.baselines import (
    AnswersByQuestion,
    CentreBox,
    PixelNeighbours,
    WordOverlap,
    chance_recall,
    most_frequent,
    pixel_features,
    random_captions,
)


def plain(red: int, green: int, blue: int, *, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), (red, green, blue), dtype=np.uint8)


def test_black_and_white_are_one_apart_in_pixels_and_one_in_colours() -> None:
    black, white = pixel_features([plain(0, 0, 0), plain(255, 255, 255)])
    assert np.linalg.norm((black - white)[:768]) == pytest.approx(1)
    assert np.linalg.norm((black - white)[768:]) == pytest.approx(1)


def test_features_are_averages_of_areas_whatever_the_size() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
    large = small.repeat(3, axis=0).repeat(5, axis=1)
    np.testing.assert_allclose(pixel_features([small]), pixel_features([large]), atol=1e-6)


def test_a_pixel_on_a_border_is_shared() -> None:
    picture = np.zeros((16, 24, 3), dtype=np.uint8)
    picture[:, 1] = 255  # the second of 24 columns: half in the first of 16 bins, half in the next
    row = pixel_features([picture])[0, :768].reshape(16, 16, 3)[0, :3, 0] * math.sqrt(768)
    assert row == pytest.approx([1 / 3, 1 / 3, 0])


def test_the_nearest_picture_is_the_one_that_looks_alike() -> None:
    neighbours = PixelNeighbours.of([plain(250, 0, 0), plain(0, 250, 0), plain(0, 0, 250)])
    assert neighbours.nearest([plain(20, 30, 240), plain(240, 9, 9)]).tolist() == [2, 0]


def test_the_nearest_picture_is_found_as_a_plain_loop_finds_it() -> None:
    random = np.random.default_rng(1)
    known = random.integers(0, 256, size=(300, 16, 16, 3), dtype=np.uint8)
    asked = random.integers(0, 256, size=(270, 16, 16, 3), dtype=np.uint8)
    features = pixel_features(known)
    slow = [
        int(np.linalg.norm(features - query, axis=1).argmin()) for query in pixel_features(asked)
    ]
    assert PixelNeighbours.of(known).nearest(asked).tolist() == slow


def test_rare_words_count_more() -> None:
    overlap = WordOverlap.of([["a", "cat"], ["a", "dog"], ["a", "fox"]])
    similarity = overlap.similarity([["a", "cat"]], [["a", "cat"], ["cat"], ["a"], ["dog"]])
    rare, common = math.log(4 / 1), math.log(4 / 3)
    length = math.hypot(rare, common)
    assert similarity[0] == pytest.approx([1, rare / length, common / length, 0])


def test_captions_that_share_nothing_are_tied_at_zero() -> None:
    overlap = WordOverlap.of([["a"]])
    assert overlap.similarity([["x"], []], [["y"], [], ["z"]]).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_commonest_caption_wins_and_the_alphabet_breaks_ties() -> None:
    assert most_frequent(["b", "c", "a", "b"]) == "b"
    assert most_frequent(["b", "a"]) == "a"


def test_a_known_question_has_its_own_commonest_answer_and_others_the_majority() -> None:
    blind = AnswersByQuestion.of(
        [
            ("What colour is it?", {"red": 0.7, "pink": 0.3}),
            ("what  colour is it?", {"pink": 0.6}),
            ("Is it red?", {"yes": 1.0}),
            ("Is it blue?", {"yes": 1.0}),
        ]
    )
    assert blind.answer("WHAT colour is it?") == "pink"  # 0.9 against 0.7
    assert blind.answer("How many?") == blind.majority == "yes"


def test_the_centre_box_has_the_median_size_of_true_boxes() -> None:
    centre = CentreBox.of([[0, 0, 0.2, 0.5], [0.1, 0.1, 0.5, 0.7], [0, 0, 0.9, 0.9]])
    assert (centre.width, centre.height) == pytest.approx((0.4, 0.6))
    assert centre.box(width=100, height=50) == pytest.approx([30, 10, 70, 40])


def test_random_captions_depend_on_the_seed_alone() -> None:
    drawn = random_captions(["a", "b", "c"], count=5, seed=0)
    assert drawn == random_captions(["a", "b", "c"], count=5, seed=0)
    assert len(drawn) == 5


def test_chance_recall_by_hand() -> None:
    assert chance_recall(gallery=500, k=1) == pytest.approx(0.002)
    assert chance_recall(gallery=500, k=5) == pytest.approx(0.01)
    # Two right of four, two places: all wrong in 1 of 6 draws.
    assert chance_recall(gallery=4, k=2, right=2) == pytest.approx(5 / 6)
    assert chance_recall(gallery=3, k=10) == 1


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one training picture"):
        PixelNeighbours.of([])
    with pytest.raises(ValueError, match="at least one caption"):
        WordOverlap.of([])
    with pytest.raises(ValueError, match="at least one value"):
        most_frequent([])
    with pytest.raises(ValueError, match="at least one answered question"):
        AnswersByQuestion.of([("what is it?", {})])
    with pytest.raises(ValueError, match=r"not \[0\]"):
        CentreBox.of([])
    with pytest.raises(ValueError, match="3 right items in a gallery of 2"):
        chance_recall(gallery=2, k=1, right=3)
