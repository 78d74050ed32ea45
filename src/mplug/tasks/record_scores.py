"""Figures of replies to records: answers, boxes, pairs, entailment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mplug.data.items import ENTAILMENT, TRUTH
from mplug.data.media import ImageError, image_size
from mplug.data.records import Record
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.classification import consistency, statement_of
from mplug.metrics.signature import consistency_signature
from mplug.tasks.asked import Ask, Box, Posed
from mplug.tasks.evaluate_answers import blind_answers
from mplug.tasks.evaluate_boxes import blind_boxes, box_figures
from mplug.tasks.evaluate_classes import blind_labels, class_figures
from mplug.tasks.evaluate_vqa import question_figures
from mplug.tasks.evaluation import BLANK
from mplug.tasks.figures import Figure, figure_of
from mplug.tasks.record_asks import (
    SAYS,
    people_of,
    picture_of,
    question_types,
    right_of,
    text_of,
)
from mplug.tasks.record_reading import LeftOut

CLASSES = {"compare": TRUTH, "entail": ENTAILMENT}
LEARNED_BOXES = 2000  # training pictures whose boxes are enough to know where boxes are
SLACK = 1.0  # pixels that a box may stand out of its picture, for rounding


class Reply(NamedTuple):
    """What the model said to one record, of its picture and of a grey one.

    Where the picture cannot be read (`seen` is false) both are the same, and nothing is scored:
    files of predictions need a line for every record.
    """

    record: Record
    said: Any  # an answer, a caption, a label, or a box in shares of the sides
    blind: Any
    size: tuple[int, int] = (0, 0)  # of the first picture, in pixels
    seen: bool = True


def score_replies(
    replies: Sequence[Reply],
    *,
    task: str,
    learned: Sequence[Record],
    split: str,
    settings: dict[str, str],
) -> list[Figure]:
    """The figures of a task whose records all say what is right.

    Training records in `learned` give the commonest answers and labels; without any, only the grey
    picture stands beside the figures.
    """
    learned = [record for record in learned if SAYS[task](record) and text_of(task, record)]
    score: Mapping[str, Callable[..., Iterable[Figure]]] = {
        "answer": _answers,
        "ground": _boxes,
        "compare": _classes,
        "entail": _classes,
    }
    return list(score[task](replies, learned, task=task, split=split, settings=settings))


def unusable(replies: Iterable[Reply], task: str) -> Iterator[LeftOut]:
    """Records whose label does not exist, or whose boxes are not in their picture."""
    for reply in replies:
        source, label = str(reply.record.source), right_of(task, reply.record)
        if task in CLASSES and label not in CLASSES[task]:
            yield LeftOut(source, f"label: is {label!r}, not one of {', '.join(CLASSES[task])}")
        if task == "ground" and not boxes_of(reply.record, reply.size):
            width, height = reply.size
            yield LeftOut(source, f"boxes: none is inside the picture, {width} x {height}")


def boxes_of(record: Record, size: tuple[int, int]) -> tuple[Box, ...]:
    """A record's boxes in shares of the picture's sides; those outside of it are left out."""
    width, height = size
    found = []
    for x0, y0, x1, y1 in record.boxes:
        inside = (max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
        out = max(abs(a - b) for a, b in zip((x0, y0, x1, y1), inside, strict=True)) > SLACK
        if not out and inside[0] < inside[2] and inside[1] < inside[3]:
            found.append(
                (inside[0] / width, inside[1] / height, inside[2] / width, inside[3] / height)
            )
    return tuple(found)


def _answers(
    replies: Sequence[Reply],
    learned: Sequence[Record],
    *,
    task: str,
    split: str,
    settings: dict[str, str],
) -> Iterator[Figure]:
    records = [each.record for each in replies]
    others: dict[str, Sequence[str]] = {BLANK: [each.blind for each in replies]}
    if learned:
        others |= blind_answers(_posed(task, records), _posed(task, learned))
    types = question_types([record.question or "" for record in records])
    kinds = {"kind": [record.label or "" for record in records], "question_type": types}
    return question_figures(
        [each.said for each in replies],
        people_of(records),
        pictures=_pictures(records),
        kinds=kinds,
        others=others,
        split=split,
        settings=settings,
    )


def _boxes(
    replies: Sequence[Reply], learned: Sequence[Record], *, split: str, **_: Any
) -> Iterator[Figure]:
    pictures = _pictures([each.record for each in replies])
    posed = [
        Posed(Ask((int(row),), ""), boxes=boxes_of(each.record, each.size))
        for row, each in zip(pictures, replies, strict=True)
    ]
    known = [Posed(Ask((0,), ""), boxes=boxes) for boxes in _learned_boxes(learned)]
    others = {BLANK: np.array([each.blind for each in replies])}
    if known:
        others |= blind_boxes(posed, known)
    said = np.array([each.said for each in replies])
    return box_figures(said, posed, others=others, split=split)


def _learned_boxes(learned: Sequence[Record]) -> Iterator[tuple[Box, ...]]:
    """Boxes of training records from all over the list, of pictures that can be read."""
    for record in learned[:: max(1, len(learned) // LEARNED_BOXES)]:
        try:
            boxes = boxes_of(record, image_size(Path(record.images[0])))
        except ImageError:
            continue
        if boxes:
            yield boxes


def _classes(
    replies: Sequence[Reply],
    learned: Sequence[Record],
    *,
    task: str,
    split: str,
    settings: dict[str, str],
) -> Iterator[Figure]:
    records, said = [each.record for each in replies], [each.said for each in replies]
    posed = _posed(task, records)
    others: dict[str, Sequence[str]] = {BLANK: [each.blind for each in replies]}
    if learned:
        others |= blind_labels(posed, _posed(task, learned))
    classes = len(CLASSES[task])
    yield from class_figures(said, posed, task=task, classes=classes, others=others, split=split)
    identifiers = [record.id or "" for record in records]
    if task == "compare" and all(map(_names_statement, identifiers)):
        yield _consistency(said, posed, identifiers, others=others, split=split)


def _consistency(
    said: Sequence[str],
    posed: Sequence[Posed],
    identifiers: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]],
    split: str,
) -> Figure:
    """How many statements are judged right of all their pairs."""
    right = [each.right for each in posed]
    mine = consistency(said, right, identifiers=identifiers)
    return figure_of(
        "comparing",
        consistency_signature(split=split, pairs=len(said), statements=len(mine.statements)),
        mean_parts(mine.per_statement),
        baselines={
            name: consistency(guesses, right, identifiers=identifiers).value
            for name, guesses in others.items()
        },
    )


def _names_statement(identifier: str) -> bool:
    """Whether an id is one of NLVR2's."""
    try:
        statement_of(identifier)
    except ValueError:
        return False
    return True


def _posed(task: str, records: Sequence[Record]) -> list[Posed]:
    return [
        Posed(Ask((int(row),), text_of(task, record)), right=right_of(task, record))
        for row, record in zip(_pictures(records), records, strict=True)
    ]


def _pictures(records: Sequence[Record]) -> np.ndarray:
    """A number for each record's picture, the same where the picture is."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(picture_of(record), len(known)) for record in records])
