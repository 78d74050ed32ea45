"""Names in captions and micro F1, by hand."""

import numpy as np
import pytest

from mplug.metrics.objects import name_spans, names_in, object_counts, object_f1

NAMES = ["dog", "hot dog", "fire", "fire engine", "t-shirt"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a hot dog left of a dog", {"hot dog", "dog"}),
        ("a hot dog", {"hot dog"}),
        ("a hot  dog", {"hot dog"}),
        ("a Fire Engine and fire.", {"fire engine", "fire"}),
        ("dogs, firemen, a hotdog", set()),
        ("a t-shirt", {"t-shirt"}),
        ("", set()),
    ],
)
def test_the_longest_whole_name_is_found(text: str, found: set[str]) -> None:
    assert names_in(text, NAMES) == found


def test_a_name_keeps_the_spelling_it_was_given_in() -> None:
    assert names_in("an eiffel tower", ["Eiffel Tower"]) == {"Eiffel Tower"}


def test_signs_in_names_are_only_signs() -> None:
    assert names_in("a cat", ["c.t", "(", "c++"]) == set()
    assert names_in("a c++ (old)", ["c++"]) == {"c++"}


def test_spans_say_where_names_stand() -> None:
    text = "a hot dog and a dog"
    spans = name_spans(text, NAMES)
    assert [(text[span.start : span.stop], span.name) for span in spans] == [
        ("hot dog", "hot dog"),
        ("dog", "dog"),
    ]


def test_micro_scores_by_hand() -> None:
    predicted = [{"dog", "cat"}, {"sun"}, set()]
    true = [{"dog"}, {"moon", "sun"}, {"tree"}]
    assert object_counts(predicted, true).tolist() == [[1, 2, 1], [1, 1, 2], [0, 0, 1]]
    scores = object_f1(predicted, true)
    assert scores == pytest.approx((2 / 3, 2 / 4, 2 * 2 / (3 + 4)))


def test_saying_nothing_scores_nothing() -> None:
    assert object_f1([set()], [{"dog"}]) == (0, 0, 0)
    assert object_f1([], []) == (0, 0, 0)


def test_the_order_of_scenes_changes_nothing() -> None:
    random = np.random.default_rng(0)
    draw = [{NAMES[place] for place in random.integers(5, size=2)} for _ in range(20)]
    predicted, true = draw[:10], draw[10:]
    assert object_f1(predicted[::-1], true[::-1]) == object_f1(predicted, true)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="1 scenes are predicted but 2 are true"):
        object_f1([set()], [set(), set()])
    with pytest.raises(ValueError, match="empty"):
        names_in("a dog", ["dog", " "])
