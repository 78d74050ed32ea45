"""The n-grams of many captions at once, in arrays: counted, and candidates' found in references.

A word is a number, an n-gram the number of its first words with that of its last one, and a text's
counts are runs in a sorted array. Counting so takes a small part of the time that a dictionary for
each caption takes, and the counts are the same integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import MAX_N, Tokens

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Counts(NamedTuple):
    """How often each n-gram occurs in each text, sorted by text and then by n-gram."""

    text: Ints  # [entries]
    gram: Ints  # [entries], the n-gram's number
    times: Ints  # [entries]


class Joined(NamedTuple):
    """The n-grams of one n in all candidates and references.

    Where a reference's n-gram is in its candidate too (`shared`), `place` is that entry there. An
    n-gram's name is the number of its first words times that of all words, plus its last word.
    """

    candidates: Counts
    references: Counts
    place: Ints  # [entries of the references]
    shared: Flags  # [entries of the references]
    names: Ints  # of the different ones, by their numbers

    @property
    def grams(self) -> int:
        """How many different ones there are."""
        return len(self.names)


@dataclass(frozen=True)
class NGramTable:
    """All that BLEU and CIDEr-D count."""

    lengths: Ints  # of the candidates, in tokens [images]
    reference_lengths: Ints  # [references]
    owner: Ints  # the image of each reference [references]
    words: tuple[str, ...]  # all different ones, by their numbers
    joined: tuple[Joined, ...]  # for n of 1 to `MAX_N`

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.lengths)

    @classmethod
    def of(
        cls, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], *, metric: str
    ) -> "NGramTable":
        """Count; `metric` is what errors name.

        Raises:
            ValueError: the two lists differ in length, there is no image, or one has no reference.
        """
        for _, texts in zip(candidates, references, strict=True):
            if not texts:
                raise ValueError(f"{metric} needs at least one reference for every image")
        if not candidates:
            raise ValueError(f"{metric} needs at least one image")
        images = len(candidates)
        owner = np.repeat(np.arange(images), [len(texts) for texts in references])
        texts = [*candidates, *chain.from_iterable(references)]
        lengths = np.array([len(tokens) for tokens in texts], dtype=np.int64)
        tokens = list(chain.from_iterable(texts))
        numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
        joined = starmap(
            lambda counts, names: _join(counts, names, owner=owner, images=images),
            _counted(tokens, numbers, lengths),
        )
        return cls(lengths[:images], lengths[images:], owner, tuple(numbers), tuple(joined))


def _counted(
    tokens: Sequence[str], numbers: Mapping[str, int], lengths: Ints
) -> list[tuple[Counts, Ints]]:
    """For each n the counts, and the names of the different n-grams."""
    words = np.fromiter(map(numbers.__getitem__, tokens), dtype=np.int64, count=len(tokens))
    text = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # to the text's end
    start, gram, different = np.arange(len(tokens)), words, np.arange(len(numbers))
    found = []
    for n in range(1, MAX_N + 1):
        if n > 1:
            long_enough = left[start] >= n
            start = start[long_enough]
            named = gram[long_enough] * len(numbers) + words[start + n - 1]
            different, gram = np.unique(named, return_inverse=True)
        pairs, count = np.unique(text[start] * len(different) + gram, return_counts=True)
        of_text, of_gram = np.divmod(pairs, max(1, len(different)))
        found.append((Counts(of_text, of_gram, count), different))
    return found


def _join(counts: Counts, names: Ints, *, owner: Ints, images: int) -> Joined:
    grams = len(names)
    first = int(np.searchsorted(counts.text, images))  # entry of a reference
    candidates = Counts(*(column[:first] for column in counts))
    text, gram, count = (column[first:] for column in counts)
    references = Counts(text - images, gram, count)
    known = candidates.text * grams + candidates.gram
    asked = owner[references.text] * grams + references.gram
    place = np.searchsorted(known, asked)
    shared = np.append(known, -1)[place] == asked
    return Joined(candidates, references, place, shared, names)
