"""VQA accuracy: the official evaluation's golden data, cases by hand, the slow twin."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mplug.metrics.vqa import (
    Question,
    answer_accuracy,
    exact_accuracy,
    normalised,
    vqa_accuracy,
)

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "vqa" / "vqa.json").read_text(encoding="utf-8")
)


def golden_questions() -> list[Question]:
    return [
        Question(row["answers"], row["prediction"], row["question_type"], row["answer_type"])
        for row in GOLDEN["questions"]
    ]


def test_every_golden_accuracy_is_reproduced() -> None:
    found = vqa_accuracy(golden_questions())
    expected = [row["accuracy_percent"] for row in GOLDEN["questions"]]
    assert found.per_question.tolist() == pytest.approx(expected, abs=1e-6)
    assert found.overall == pytest.approx(GOLDEN["overall_percent"], abs=1e-6)
    by_question, by_answer = GOLDEN["per_question_type_percent"], GOLDEN["per_answer_type_percent"]
    assert found.per_question_type == pytest.approx(by_question, abs=1e-6)
    assert found.per_answer_type == pytest.approx(by_answer, abs=1e-6)


def test_every_golden_string_is_normalised_alike() -> None:
    wrong = [row for row in GOLDEN["normalisation"] if normalised(row["raw"]) != row["normalised"]]
    assert wrong == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("The Dog", "dog"),
        ("two", "2"),
        ("dont", "don't"),
        ("red, blue", "red blue"),  # beside a blank: deleted
        ("red,blue", "red blue"),  # else a blank
        ("1,000 yes/no", "1000 yesno"),  # digit, comma, digit: every mark is deleted
        ("3.5 m.", "3.5 m"),
        ("50%", "50%"),  # not one of the marks
        ("." * 40, "." * 8),  # the first 32 only
    ],
)
def test_normalisation_by_hand(raw: str, expected: str) -> None:
    assert normalised(raw) == expected


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1)])
def test_agreement_by_hand(agreeing: int, score: float) -> None:
    # One of ten agrees: left out once (0 of 3), else 1 of 3 nine times: 9 * 1/3 / 10 = 0.3.
    answers = ["cat"] * agreeing + ["dog"] * (10 - agreeing)
    assert answer_accuracy(Question(answers, "cat")) == pytest.approx(score)


def test_where_all_agree_nothing_is_normalised() -> None:
    assert answer_accuracy(Question(["yes"] * 10, " yes\n")) == 1
    assert answer_accuracy(Question(["yes"] * 10, "Yes")) == 0
    assert answer_accuracy(Question(["yes"] * 9 + ["no"], "Yes")) == 1


def test_kinds_have_their_own_means() -> None:
    right, wrong = ["a"] * 10, ["b"] * 10
    found = vqa_accuracy(
        [
            Question(right, "a", "what", "other"),
            Question(wrong, "a", "what", "number"),
            Question(right, "a", "how", "other"),
        ]
    )
    assert found.overall == pytest.approx(200 / 3)
    assert found.per_question_type == {"how": 100, "what": 50}
    assert found.per_answer_type == {"number": 0, "other": 100}


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        vqa_accuracy([])
    with pytest.raises(ValueError, match="at least one answer"):
        vqa_accuracy([Question([], "a")])


def slow_accuracy(question: Question) -> float:
    """As it is defined: leave each person out and count the matches among the others."""
    answers = [answer.strip() for answer in question.answers]
    prediction = question.prediction.strip()
    if len(set(answers)) > 1:
        answers, prediction = [normalised(answer) for answer in answers], normalised(prediction)
    scores = []
    for place in range(len(answers)):
        others = answers[:place] + answers[place + 1 :]
        scores.append(min(1.0, sum(other == prediction for other in others) / 3))
    return sum(scores) / len(scores)


texts = some.sampled_from(["yes", "Yes.", "no", "two", "2", "a dog", "dog", "dont", "don't", ""])


@given(some.lists(texts, min_size=1, max_size=10), texts)
def test_counting_equals_leaving_each_person_out(answers: list[str], prediction: str) -> None:
    question = Question(answers, prediction)
    assert answer_accuracy(question) == pytest.approx(slow_accuracy(question))


@given(some.text(max_size=20))
def test_normalised_text_is_lower_case_words_with_single_blanks(text: str) -> None:
    result = normalised(text)
    assert result == " ".join(result.split())
    assert not {"a", "an", "the"} & set(result.split())


def test_one_answer_a_question_is_matched_letter_for_letter() -> None:
    found = exact_accuracy(["onion", " onion\n", "Onion", "a"], ["onion", "onion", "onion", "b"])
    assert found.per_item.tolist() == [1, 1, 0, 0]
    assert found.value == 1 / 2
