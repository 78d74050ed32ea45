"""What a record asks, what is right, and of which kind the question is."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from mplug.data.fields import Answer
from mplug.data.records import Record
from mplug.metrics.baselines import heaviest

LABELLED = ("compare", "entail")
LARGEST_CROWD = 100  # people; more who answer one question are not told apart from weights
COMMON = 0.02  # of the questions: openings that are rarer are no type of their own
OTHER = "other"

# What a record must have to be asked, whether or not it says what is right.
NEEDS = {
    "caption": "one image or clip",
    "retrieval": "one image or clip and a caption",
    "answer": "one image or clip and a question",
    "ground": "one image and a phrase",
    "compare": "two images and a statement",
    "entail": "one image and a statement",
}
ASKS: Mapping[str, Callable[[Record], bool]] = {
    "caption": lambda record: _shows_one(record) and not (record.question or record.statement),
    "retrieval": lambda record: bool(_shows_one(record) and record.caption),
    "answer": lambda record: bool(_shows_one(record) and record.question),
    "ground": lambda record: bool(len(record.images) == 1 and record.phrase),
    "compare": lambda record: bool(len(record.images) == 2 and record.statement),
    "entail": lambda record: bool(len(record.images) == 1 and record.statement),
}
SAYS: Mapping[str, Callable[[Record], bool]] = {
    "caption": lambda record: bool(record.caption),
    "retrieval": lambda record: bool(record.caption),
    "answer": lambda record: any(answer.weight > 0 for answer in record.answers),
    "ground": lambda record: bool(record.boxes),
    "compare": lambda record: bool(record.label),
    "entail": lambda record: bool(record.label),
}


def text_of(task: str, record: Record) -> str:
    """What the model is asked."""
    texts = {"answer": record.question, "ground": record.phrase}
    return texts.get(task, record.statement) or ""


def picture_of(record: Record) -> str:
    """What makes two records speak of the same picture, pair or clip."""
    return record.image_id or record.video or " ".join(record.images)


def right_of(task: str, record: Record) -> str:
    """The label, or the answer that counts most; nothing where there is none."""
    if task in LABELLED:
        return (record.label or "").strip().lower()
    weights: dict[str, float] = {}
    for answer in record.answers:
        weights[answer.text] = weights.get(answer.text, 0.0) + answer.weight
    return heaviest(weights) if weights else ""


def people_of(records: Sequence[Record]) -> list[list[str]]:
    """The answer of each person who was asked, for each record.

    Several answers without weights are a person's each. Weights are shares of as many people as
    fit all records: where some are tenths, ten people gave an answer that counts 1.
    """
    crowds = [_crowd(record.answers) for record in records]
    largest = max(crowds, default=1)
    return [
        [answer.text for answer in record.answers]
        if _unweighted(record.answers)
        else _people(record.answers, crowd=largest if largest % crowd == 0 else crowd)
        for record, crowd in zip(records, crowds, strict=True)
    ]


def _unweighted(answers: Sequence[Answer]) -> bool:
    return len(answers) > 1 and all(answer.weight == 1 for answer in answers)


def _crowd(answers: Sequence[Answer]) -> int:
    if _unweighted(answers):
        return 1
    return min(math.lcm(*(share.denominator for share in _shares(answers))), LARGEST_CROWD)


def _people(answers: Sequence[Answer], *, crowd: int) -> list[str]:
    shares = _shares(answers)
    counts = [max(1, round(share * crowd)) if share else 0 for share in shares]
    return [
        answer.text for answer, count in zip(answers, counts, strict=True) for _ in range(count)
    ]


def _shares(answers: Sequence[Answer]) -> list[Fraction]:
    total = sum(answer.weight for answer in answers)
    return [Fraction(answer.weight / total).limit_denominator(LARGEST_CROWD) for answer in answers]


def question_types(questions: Sequence[str]) -> list[str]:
    """How each question begins: its first two words if many do, else the first, else "other"."""
    openings = [
        [" ".join(question.lower().strip("?!. ").split()[:words]) for words in (2, 1)]
        for question in questions
    ]
    counts = Counter(opening for both in openings for opening in set(both))
    enough = COMMON * len(questions)
    return [
        next((opening for opening in both if opening and counts[opening] >= enough), OTHER)
        for both in openings
    ]


def _shows_one(record: Record) -> bool:
    return len(record.images) == 1 or record.video is not None
