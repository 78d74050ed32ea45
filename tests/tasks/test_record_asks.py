from typing import Any

import pytest

from mplug.data.fields import Answer
from mplug.data.records import Record, Source
from mplug.metrics.vqa import Question, answer_accuracy
from mplug.tasks.record_asks import ASKS, people_of, question_types, right_of


def asking(*answers: Answer, **fields: Any) -> Record:
    return Record(
        Source("q.jsonl", 1), image="a.png", question="what is it?", answers=answers, **fields
    )


def test_weights_are_shares_of_as_many_people_as_fit_all_records() -> None:
    people = people_of([asking(Answer("yes", 0.9), Answer("no", 0.1)), asking(Answer("cat", 1.0))])
    assert people == [["yes"] * 9 + ["no"], ["cat"] * 10]
    assert answer_accuracy(Question(people[1], "cat")) == 1.0


def test_answers_without_weights_are_a_persons_each() -> None:
    people = people_of([asking(Answer("yes"), Answer("yes"), Answer("no"))])
    assert people == [["yes", "yes", "no"]]


def test_one_answer_to_each_question_is_one_persons() -> None:
    assert people_of([asking(Answer("red")), asking(Answer("blue"))]) == [["red"], ["blue"]]


def test_thirds_need_three_people() -> None:
    (people,) = people_of([asking(Answer("a", 2 / 3), Answer("b", 1 / 3))])
    assert people == ["a", "a", "b"]


def test_the_answer_that_counts_most_is_right() -> None:
    assert right_of("answer", asking(Answer("a", 0.3), Answer("b", 0.4), Answer("a", 0.2))) == "a"
    assert right_of("answer", asking()) == ""
    assert right_of("entail", asking(label=" Neutral ")) == "neutral"


def test_questions_are_typed_by_how_many_begin_alike() -> None:
    questions = ["How many cats?", "how many dogs?", "Is it red?", "is she tall?"]
    rare = [*questions * 30, "why so?"]
    assert question_types(rare) == ["how many", "how many", "is it", "is she"] * 30 + ["other"]
    # Openings of two words that are rare fall back on the first word.
    many = [f"is {name} here?" for name in "abcdefghijklmnopqrstuvwxyz"] * 3
    assert set(question_types([*many, *["what is it?"] * 400])) == {"is", "what is"}


@pytest.mark.parametrize("task", ASKS)
def test_a_record_that_has_nothing_but_a_picture_asks_for_a_caption_alone(task: str) -> None:
    record = Record(Source("q.jsonl", 1), image="a.png")
    assert ASKS[task](record) == (task == "caption")
