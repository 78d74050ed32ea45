"""CIDEr-D of many captions at once, in arrays: by their own document frequencies or given ones."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import MAX_N, SCALE, SIGMA, DocumentFrequency, Tokens
from mplug.metrics.ngram_table import Counts, Ints, Joined, NGramTable

Floats = npt.NDArray[np.float64]

METRIC = "CIDEr-D"
WORD_BITS = 31  # of an n-gram's name in `FixedCiderD`; the rest is its first words' number
NEVER = np.iinfo(np.int64).max  # behind all names


class FixedCiderD:
    """CIDEr-D of many captions at once against fixed document frequencies.

    What `CiderD(frequency).scores` says caption by caption, but for the order in which floats are
    added. The frequencies are sorted arrays: for each n the names of the n-grams, and of the first
    words of longer ones.
    """

    def __init__(self, frequency: DocumentFrequency) -> None:
        """Frequencies of at least one image, or a ValueError."""
        if frequency.documents < 1:
            raise ValueError("CIDEr-D needs document frequencies from at least one image")
        self._rarest = math.log(frequency.documents)
        sizes = np.fromiter(map(len, frequency.counts), dtype=np.int64)
        words = dict.fromkeys(chain.from_iterable(frequency.counts))
        self._words = {word: number for number, word in enumerate(words)}
        every = map(self._words.__getitem__, chain.from_iterable(frequency.counts))
        word = np.fromiter(every, dtype=np.int64, count=int(sizes.sum()))
        weights = self._rarest - np.log(np.fromiter(frequency.counts.values(), dtype=np.float64))
        begin = np.cumsum(sizes) - sizes
        self._names: list[Ints] = []
        self._idf: list[Floats] = []
        gram = np.zeros_like(sizes)
        for n in range(1, MAX_N + 1):
            long_enough = sizes >= n
            names = (gram << WORD_BITS)[long_enough] | word[(begin + n - 1)[long_enough]]
            different, gram[long_enough] = np.unique(names, return_inverse=True)
            idf = np.full(len(different) + 1, self._rarest)  # the last one is a stranger's
            idf[gram[sizes == n]] = weights[sizes == n]
            self._names.append(np.append(different, NEVER))
            self._idf.append(idf)

    def scores(
        self, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
    ) -> Floats:
        """The score of each caption [captions], from 0 to 10; each has references of its own.

        Raises:
            ValueError: the two lists differ in length, there is no caption, or one has no
                reference.
        """
        table = NGramTable.of(candidates, references, metric=METRIC)
        return _scores(table, list(self._weights(table)))

    def of_samples(
        self, samples: Sequence[Sequence[Tokens]], references: Sequence[Sequence[Tokens]]
    ) -> list[list[float]]:
        """The scores of several captions of each image; errors as in `scores`."""
        pairs = list(zip(samples, references, strict=True))
        captions = list(chain.from_iterable(samples))
        found = iter(self.scores(captions, [texts for said, texts in pairs for _ in said]).tolist())
        return [list(islice(found, len(said))) for said in samples]

    def _weights(self, table: NGramTable) -> Iterator[Floats]:
        """For each n the weight of each n-gram of a table."""
        known = map(self._words.get, table.words, repeat(-1))
        word = np.fromiter(known, dtype=np.int64, count=len(table.words))
        gram = np.zeros(1, dtype=np.int64)
        for joined, names, idf in zip(table.joined, self._names, self._idf, strict=True):
            first, last = np.divmod(joined.names, max(1, len(table.words)))
            asked = (gram[first] << WORD_BITS) | word[last]
            place = np.searchsorted(names, asked)
            # A stranger's number is below 0, and so is the name of what it stands in.
            gram = np.where((gram[first] >= 0) & (names[place] == asked), place, -1)
            yield idf[gram]


def cider_d(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """CIDEr-D of each image [images], with document frequencies from these references.

    What `CiderD(DocumentFrequency.of(references)).scores` says caption by caption, but for the
    order in which floats are added.

    Raises:
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    return cider_d_of(NGramTable.of(candidates, references, metric=METRIC))


def cider_d_of(table: NGramTable) -> Floats:
    """The same from counts [images]."""
    return _scores(table, [_own_idf(joined, table) for joined in table.joined])


def _own_idf(joined: Joined, table: NGramTable) -> Floats:
    """The weight of each n-gram by the table's own references."""
    text, gram, _ = joined.references
    # Sorted by hand: NumPy's own way to different values takes many times as long here.
    seen = np.sort(table.owner[text] * joined.grams + gram)
    seen = seen[np.append(True, seen[1:] != seen[:-1])[: len(seen)]] % max(1, joined.grams)
    documents = np.bincount(seen, minlength=joined.grams)
    idf: Floats = math.log(table.images) - np.log(np.maximum(documents, 1))  # a stranger is rarest
    return idf


def _scores(table: NGramTable, idf: Sequence[Floats]) -> Floats:
    total = np.zeros(len(table.owner))
    for joined, weights in zip(table.joined, idf, strict=True):
        total += _cosines(joined, weights, table.owner, images=table.images)
    # In bigrams, as the official scorer compares lengths.
    lengths = np.maximum(table.lengths - 1, 0)[table.owner]
    gap = lengths - np.maximum(table.reference_lengths - 1, 0)
    each = total / MAX_N * np.exp(-(gap * gap) / (2 * SIGMA * SIGMA))
    known = np.bincount(table.owner, minlength=table.images)
    scores: Floats = SCALE * np.bincount(table.owner, each, minlength=table.images) / known
    return scores


def _cosines(joined: Joined, idf: Floats, owner: Ints, *, images: int) -> Floats:
    """The clipped cosine of each reference [references] with its candidate, for one n."""
    mine, yours = joined.candidates, joined.references
    my_weight, your_weight = mine.times * idf[mine.gram], yours.times * idf[yours.gram]
    shared = joined.shared
    least = np.minimum(my_weight[joined.place[shared]], your_weight[shared])
    products = np.bincount(yours.text[shared], least * your_weight[shared], minlength=len(owner))
    lengths = _norms(mine, my_weight, images)[owner] * _norms(yours, your_weight, len(owner))
    cosines: Floats = np.divide(products, lengths, out=np.zeros(len(owner)), where=lengths > 0)
    return cosines


def _norms(counts: Counts, weights: Floats, texts: int) -> Floats:
    norms: Floats = np.sqrt(np.bincount(counts.text, weights * weights, minlength=texts))
    return norms
