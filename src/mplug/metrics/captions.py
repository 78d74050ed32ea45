"""Scores for generated captions over token lists: CIDEr-D, from shared n-gram counts.

Tokens are made elsewhere (`simple_tokens` here is for composed scenes), and the tokeniser's name
belongs in the figure's signature: the same captions cut differently score differently.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Tokens = Sequence[str]
NGram = tuple[str, ...]

MAX_N = 4
SIGMA = 6.0  # width of the penalty on captions of another length than the reference's
SCALE = 10.0
SIMPLE_TOKENISER = "simple"
REMEMBERED = 2048  # references whose vectors are kept

_WORD = re.compile(r"[^\W_]+")


def simple_tokens(text: str) -> list[str]:
    """Lower-case runs of letters and digits; its name in signatures is `SIMPLE_TOKENISER`."""
    return _WORD.findall(text.lower())


def ngrams(tokens: Tokens, *, max_n: int = MAX_N) -> Iterator[NGram]:
    """Every run of 1 to `max_n` tokens, as often as it occurs, the short ones first."""
    later = [tokens[start:] for start in range(max_n)]
    return chain.from_iterable(zip(*later[:n], strict=False) for n in range(1, max_n + 1))


def ngram_counts(tokens: Tokens, *, max_n: int = MAX_N) -> Counter[NGram]:
    """How often each run of 1 to `max_n` tokens occurs."""
    return Counter(ngrams(tokens, max_n=max_n))


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many images' references each n-gram occurs, and how many images there are."""

    counts: dict[NGram, int]
    documents: int

    @classmethod
    def of(cls, references: Sequence[Sequence[Tokens]]) -> "DocumentFrequency":
        """Count over the references of every image; an image counts once for an n-gram."""
        counts: Counter[NGram] = Counter()
        for texts in references:
            counts.update(set(chain.from_iterable(map(ngrams, texts))))
        return cls(dict(counts), len(references))


@dataclass(frozen=True)
class _Vector:
    """A caption as tf-idf weights per n-gram, with the length of the vector for each n."""

    weights: dict[NGram, float]
    norms: list[float]
    length: int  # in bigrams, as the official scorer compares lengths


class CiderD:
    """CIDEr-D (n 1-4, sigma 6, clipped counts, times 10) against fixed document frequencies.

    An n-gram that every image's references hold weighs nothing, so over a single image every
    score is 0: take the frequencies from a set of images. (Vedantam et al. 2015.)
    """

    def __init__(self, frequency: DocumentFrequency) -> None:
        if frequency.documents < 1:
            raise ValueError("CIDEr-D needs document frequencies from at least one image")
        rarest = math.log(frequency.documents)
        self._rarest = rarest
        self._remembered: dict[NGram, _Vector] = {}
        self._idf = {ngram: rarest - math.log(count) for ngram, count in frequency.counts.items()}

    def score(self, candidate: Tokens, references: Sequence[Tokens]) -> float:
        """The score of one caption against the references of its image, from 0 to 10.

        Raises:
            ValueError: there is no reference.
        """
        if not references:
            raise ValueError("CIDEr-D needs at least one reference for every image")
        vector = self._vector(candidate)
        total = sum(_similarity(vector, self._known(reference)) for reference in references)
        return SCALE * total / len(references)

    def scores(
        self, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
    ) -> npt.NDArray[np.float64]:
        """The score of each image [images]; their mean is the score of the corpus."""
        pairs = zip(candidates, references, strict=True)
        return np.array([self.score(*pair) for pair in pairs], dtype=np.float64)

    def _known(self, reference: Tokens) -> _Vector:
        """The vector of a reference, which several candidates of an image are compared with."""
        key = tuple(reference)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._vector(reference)
        return found

    def _vector(self, tokens: Tokens) -> _Vector:
        weights: dict[NGram, float] = {}
        squares = [0.0] * MAX_N
        for ngram, count in ngram_counts(tokens).items():
            weight = count * self._idf.get(ngram, self._rarest)
            weights[ngram] = weight
            squares[len(ngram) - 1] += weight * weight
        return _Vector(weights, [math.sqrt(square) for square in squares], max(len(tokens) - 1, 0))


def _similarity(candidate: _Vector, reference: _Vector) -> float:
    """Mean over n of the clipped cosine, times the penalty on length."""
    products = [0.0] * MAX_N
    other = reference.weights
    for ngram, weight in candidate.weights.items():
        theirs = other.get(ngram)
        if theirs is not None:
            products[len(ngram) - 1] += min(weight, theirs) * theirs
    total = 0.0
    for product, mine, yours in zip(products, candidate.norms, reference.norms, strict=True):
        if mine and yours:
            total += product / (mine * yours)
    gap = candidate.length - reference.length
    return total / MAX_N * math.exp(-(gap * gap) / (2 * SIGMA * SIGMA))
