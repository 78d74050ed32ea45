"""VQA accuracy against the answers of several people, as the official VQA v2 evaluation has it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.metrics.classification import Accuracy, accuracy
from mplug.metrics.vqa_words import ARTICLES, CONTRACTIONS, NUMBER_WORDS

ENOUGH = 3  # people besides the one left out who must agree for a full score
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_FULL_STOPS_DELETED = 32  # the official program hands a flag where a count belongs; 32 is its value


class Question(NamedTuple):
    """What people answered, what the model answered, and what kinds the question is of."""

    answers: Sequence[str]
    prediction: str
    question_type: str = ""
    answer_type: str = ""


class VqaAccuracy(NamedTuple):
    """Percent, over all questions, by kind, and for each question [questions]."""

    overall: float
    per_question_type: dict[str, float]
    per_answer_type: dict[str, float]
    per_question: npt.NDArray[np.float64]


def vqa_accuracy(questions: Sequence[Question]) -> VqaAccuracy:
    """The mean accuracy over questions; the kinds in alphabetical order.

    Raises:
        ValueError: there is no question, or one has no answer.
    """
    if not questions:
        raise ValueError("VQA accuracy needs at least one question")
    scores = np.array([100 * answer_accuracy(each) for each in questions], dtype=np.float64)
    return VqaAccuracy(
        float(scores.mean()),
        _means(scores, [each.question_type for each in questions]),
        _means(scores, [each.answer_type for each in questions]),
        scores,
    )


def answer_accuracy(question: Question) -> float:
    """Between 0 and 1: each person is left out once, and three of the others are enough.

    Answers are normalised only where people disagree: where all wrote the same string, the
    prediction must be that string but for blanks around it. (Antol et al. 2015, and its code.)

    Raises:
        ValueError: there is no answer.
    """
    if not question.answers:
        raise ValueError("a question needs at least one answer")
    answers = [stripped(answer) for answer in question.answers]
    prediction = stripped(question.prediction)
    if len(set(answers)) > 1:
        answers = [normalised(answer) for answer in answers]
        prediction = normalised(prediction)
    agreeing = answers.count(prediction)
    # Of the people left out, `agreeing` take a match with them and the others do not.
    with_match, without = min(1.0, (agreeing - 1) / ENOUGH), min(1.0, agreeing / ENOUGH)
    people = len(answers)
    return (agreeing * with_match + (people - agreeing) * without) / people


def exact_accuracy(predictions: Sequence[str], answers: Sequence[str]) -> Accuracy:
    """How often the prediction is the one answer, letter for letter but for outer blanks.

    The measure of data sets with one answer a question, such as MSRVTT-QA and MSVD-QA.

    Raises:
        ValueError: there is no question, or the two lists differ in length.
    """
    return accuracy([stripped(each) for each in predictions], [stripped(each) for each in answers])


def stripped(text: str) -> str:
    """Without line breaks, tabs and outer blanks."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def normalised(text: str) -> str:
    """The text as answers are compared: punctuation, then number words, articles, contractions."""
    words = _without_punctuation(stripped(text)).lower().split()
    numbers = (NUMBER_WORDS.get(word, word) for word in words)
    kept = (word for word in numbers if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)


def _without_punctuation(text: str) -> str:
    """A mark beside a blank vanishes, another becomes a blank; "1,000" makes all of them vanish."""
    cleaned = text
    has_number = _NUMBER_WITH_COMMA.search(text) is not None
    for mark in PUNCTUATION:
        vanishes = has_number or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if vanishes else " ")
    return _FULL_STOP.sub("", cleaned, count=_FULL_STOPS_DELETED)


def _means(scores: npt.NDArray[np.float64], kinds: Sequence[str]) -> dict[str, float]:
    chosen = {kind: [place for place, each in enumerate(kinds) if each == kind] for kind in kinds}
    return {kind: float(scores[chosen[kind]].mean()) for kind in sorted(chosen)}
