"""Does a caption name what is in the picture: names found in text, and micro F1 over scenes."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


class ObjectScores(NamedTuple):
    """Micro averages over every scene and concept, as fractions."""

    precision: float
    recall: float
    f1: float


class Span(NamedTuple):
    """Where a name stands in a text: characters [start, stop), and the name as it was given."""

    start: int
    stop: int
    name: str


def name_spans(text: str, names: Collection[str]) -> list[Span]:
    """Where known names stand in `text`, from left to right, never overlapping.

    At each place the longest name wins ("hot dog" is no "dog"). Names match whole words, in any
    case, letter for letter: "cats" is no "cat".

    Raises:
        ValueError: a name is empty.
    """
    if not names:
        return []
    pattern, original = _matcher(tuple(sorted(names)))
    return [
        Span(found.start(), found.end(), original[_plain(found.group())])
        for found in pattern.finditer(text)
    ]


def names_in(text: str, names: Collection[str]) -> set[str]:
    """The known names that stand in `text`, as they were given; see `name_spans` for the rule."""
    return {span.name for span in name_spans(text, names)}


def object_counts(predicted: Sequence[set[str]], true: Sequence[set[str]]) -> Counts:
    """For each scene: names in both, names predicted, names true [scenes, 3].

    Raises:
        ValueError: the two lists differ in length.
    """
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} scenes are predicted but {len(true)} are true")
    rows = [
        (len(said & there), len(said), len(there))
        for said, there in zip(predicted, true, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), 3)


def object_f1(predicted: Sequence[set[str]], true: Sequence[set[str]]) -> ObjectScores:
    """Micro precision, recall and F1 over scenes and concepts; 0 where nothing was named."""
    both, said, there = object_counts(predicted, true).sum(axis=0).tolist()
    return ObjectScores(_ratio(both, said), _ratio(both, there), _ratio(2 * both, said + there))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _plain(name: str) -> str:
    return " ".join(name.lower().split())


@lru_cache(maxsize=16)
def _matcher(names: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    original = {_plain(name): name for name in names}
    if "" in original:
        raise ValueError("an object name is empty")
    longest_first = sorted(original, key=lambda name: (-len(name.split()), -len(name), name))
    choices = "|".join(
        r"\s+".join(re.escape(word) for word in name.split()) for name in longest_first
    )
    return re.compile(rf"(?<!\w)(?:{choices})(?!\w)", re.IGNORECASE), original
