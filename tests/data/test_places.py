import pytest

from mplug.data.fields import Answer
from mplug.data.places import (
    Turned,
    depends_on_colours,
    mirror_answer,
    mirror_phrase,
    mirrored,
    speaks_of_places,
    turn_pair,
)
from mplug.data.records import Record, Source

SOURCE = Source("data.jsonl", 1)


def asking(question: str, *answers: str) -> Record:
    return Record(
        SOURCE, image="a.png", question=question, answers=tuple(Answer(text) for text in answers)
    )


def comparing(statement: str) -> Record:
    return Record(SOURCE, image=("a.png", "b.png"), statement=statement, label="true")


@pytest.mark.parametrize(
    "record",
    [
        Record(SOURCE, image="a.png", phrase="the man at top"),
        Record(SOURCE, image="a.png", phrase="second from left"),
        Record(SOURCE, image="a.png", caption=("a cup in the corner",)),
        asking("where is the dog?", "in the middle"),
        asking("how many dogs are there?", "2"),
        asking("was steht links?", "ein Hund"),
        comparing("the dog on the left sleeps"),
    ],
)
def test_places_and_numbers_are_those_of_the_whole_picture(record: Record) -> None:
    assert speaks_of_places(record)


@pytest.mark.parametrize(
    "record",
    [
        Record(SOURCE, image="a.png", caption=("a cup on top of a table", "a cup on the left")),
        asking("what is the man holding?", "racket", "a bright ball"),
        comparing("the left picture shows a dog and the picture on the right a cat"),
    ],
)
def test_other_texts_are_true_of_parts(record: Record) -> None:
    assert not speaks_of_places(record)


def test_colours_decide_questions_phrases_and_statements_but_not_captions() -> None:
    assert depends_on_colours(asking("what color is it?", "red"))
    assert depends_on_colours(asking("what is it like?", "Grey"))
    assert depends_on_colours(Record(SOURCE, image="a.png", phrase="the blue cup"))
    assert depends_on_colours(comparing("both dogs are brown"))
    assert not depends_on_colours(asking("what is that?", "a bored dog"))
    assert not depends_on_colours(Record(SOURCE, image="a.png", caption=("a red ball",)))


def test_a_mirrored_picture_swaps_the_sides_of_everything_asked() -> None:
    record = Record(
        SOURCE,
        image="a.png",
        caption=("a cat on the left", "a cat left of a dog"),
        question="what is on the Right?",
        answers=(Answer("left", 0.5), Answer("dog")),
        phrase="left guy",
    )
    other = mirrored(record)
    assert other is not None
    assert other.caption == ("a cat on the right", "a cat right of a dog")
    assert other.question == "what is on the Left?"
    assert other.answers == (Answer("right", 0.5), Answer("dog"))
    assert other.phrase == "right guy"
    assert mirrored(other) == record


@pytest.mark.parametrize(
    "record",
    [
        Record(SOURCE, image="a.png", caption=("a cat", "a sign reads 7")),
        Record(SOURCE, image="a.png", caption=("a cat",), text=("EXIT",)),
        asking("what is left?", "nothing"),
        asking("which way is it going?", "clockwise"),
        asking("what time is it?", "3:40"),
        Record(SOURCE, image="a.png", phrase="dog right behind the cat"),
    ],
)
def test_one_text_that_cannot_follow_keeps_the_picture_as_it_is(record: Record) -> None:
    assert mirrored(record) is None


def test_the_premise_of_a_statement_is_mirrored_with_it() -> None:
    record = Record(
        SOURCE, image="a.png", statement="a dog is on the left", text=("a dog left of a cat",)
    )
    other = mirrored(record)
    assert other is not None
    assert (other.statement, other.text) == ("a dog is on the right", ("a dog right of a cat",))


@pytest.mark.parametrize(
    ("answer", "question", "other"),
    [
        ("left", "which side?", "right"),
        ("Right side", "which side?", "Left side"),
        ("on the left", "where?", "on the right"),
        ("leftmost", "which one?", "rightmost"),
        ("2", "how many dogs?", "2"),
        ("2", "what is on the shirt?", None),
        ("yes", "is it?", "yes"),
    ],
)
def test_answers_of_one_side_or_one_number_are_sure(
    answer: str, question: str, other: str | None
) -> None:
    assert mirror_answer(answer, question=question) == other


@pytest.mark.parametrize(
    ("phrase", "other"),
    [
        ("left", "right"),
        ("guy far right in blue", None),
        ("girl right, second from left", "girl left, second from right"),
        ("number 9", None),
        ("Leftmost cow", "Rightmost cow"),
    ],
)
def test_every_left_of_a_phrase_is_a_side(phrase: str, other: str | None) -> None:
    assert mirror_phrase(phrase) == other


@pytest.mark.parametrize(
    ("statement", "turned"),
    [
        ("both show a dog", Turned(*["both show a dog"] * 3)),
        (
            "the left image shows a dog",  # mirrored pictures stay where they are
            Turned(
                "the left image shows a dog",
                "the right image shows a dog",
                "the right image shows a dog",
            ),
        ),
        (
            "a dog facing left in the Right photo",
            Turned(
                "a dog facing right in the Right photo",
                "a dog facing left in the Left photo",
                "a dog facing right in the Left photo",
            ),
        ),
        (
            "the cat is left of the dog in the picture on the left",
            Turned(
                "the cat is right of the dog in the picture on the left",
                "the cat is left of the dog in the picture on the right",
                "the cat is right of the dog in the picture on the right",
            ),
        ),
        (
            "the first image and not the second image has a dog",
            Turned(
                "the first image and not the second image has a dog",
                "the second image and not the first image has a dog",
                "the second image and not the first image has a dog",
            ),
        ),
        ("a dog is on the left", Turned(None, None, "a dog is on the right")),
        (
            "the left and right images show 2 dogs",
            Turned(None, "the right and left images show 2 dogs", None),
        ),
        ("a dog in the first but not in image 2", Turned(None, None, None)),
        ("das linke Bild zeigt einen Hund", Turned(None, None, None)),
    ],
)
def test_statements_follow_two_pictures_that_are_mirrored_and_exchanged(
    statement: str, turned: Turned
) -> None:
    assert turn_pair(statement) == turned
