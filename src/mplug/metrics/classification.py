"""Accuracy of classes, consistency over the pairs of a statement, and what is taken for what."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Label = str | int | bool


class Accuracy(NamedTuple):
    """A fraction, and 1 or 0 for each item [items]."""

    value: float
    per_item: Floats


class Consistency(NamedTuple):
    """A fraction of statements, and 1 or 0 for each [statements], in order of first appearance."""

    value: float
    per_statement: Floats
    statements: list[str]


def accuracy(predicted: Sequence[Label], true: Sequence[Label]) -> Accuracy:
    """How often the predicted label is the true one.

    Raises:
        ValueError: there is no item, or the two lists differ in length.
    """
    if not len(true):
        raise ValueError("accuracy needs at least one item")
    right = np.array([mine == yours for mine, yours in _pairs(predicted, true)], dtype=np.float64)
    return Accuracy(float(right.mean()), right)


def consistency(
    predicted: Sequence[Label], true: Sequence[Label], *, identifiers: Sequence[str]
) -> Consistency:
    """How many of the statements are judged right for every pair of pictures they come with.

    NLVR2 names an item split-set-pair-sentence, such as "dev-850-1-0": the pair is dropped, and
    what is left names the statement.

    Raises:
        ValueError: there is no item, lists differ in length, or an identifier is not of that form.
    """
    right = accuracy(predicted, true).per_item
    if len(identifiers) != len(right):
        raise ValueError(f"{len(right)} items but {len(identifiers)} identifiers")
    kept: dict[str, float] = {}
    for identifier, each in zip(identifiers, right.tolist(), strict=True):
        statement = statement_of(identifier)
        kept[statement] = min(kept.get(statement, 1.0), each)
    values = np.array(list(kept.values()), dtype=np.float64)
    return Consistency(float(values.mean()), values, list(kept))


def statement_of(identifier: str) -> str:
    """The statement of an NLVR2 item: "dev-850-1-0" is a pair of "dev-850-0".

    Raises:
        ValueError: the identifier is not of four parts.
    """
    parts = identifier.split("-")
    if len(parts) != 4 or not all(parts):
        raise ValueError(f"identifier {identifier!r} is not split-set-pair-sentence: dev-850-1-0")
    split, collection, _, sentence = parts
    return f"{split}-{collection}-{sentence}"


def confusion(
    predicted: Sequence[Label], true: Sequence[Label], *, labels: Sequence[Label]
) -> npt.NDArray[np.int64]:
    """How often each label (row) was taken for each (column) [labels, labels].

    Raises:
        ValueError: the lists differ in length, or an item has a label that is not listed.
    """
    place = {label: position for position, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for mine, yours in _pairs(predicted, true):
        for label in (mine, yours):
            if label not in place:
                raise ValueError(f"label {label!r} is none of {', '.join(map(str, labels))}")
        counts[place[yours], place[mine]] += 1
    return counts


def _pairs(predicted: Sequence[Label], true: Sequence[Label]) -> list[tuple[Label, Label]]:
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} labels are predicted but {len(true)} are true")
    return list(zip(predicted, true, strict=True))
