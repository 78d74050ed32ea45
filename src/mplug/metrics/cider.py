"""CIDEr-D of a whole corpus, with document frequencies from its own references, in arrays."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import MAX_N, SCALE, SIGMA, Tokens
from mplug.metrics.ngram_table import Counts, Joined, NGramTable

Floats = npt.NDArray[np.float64]


def cider_d(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """CIDEr-D of each image [images], with document frequencies from these references.

    What `CiderD(DocumentFrequency.of(references)).scores` says caption by caption, but for the
    order in which floats are added.

    Raises:
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    return cider_d_of(NGramTable.of(candidates, references, metric="CIDEr-D"))


def cider_d_of(table: NGramTable) -> Floats:
    """The same from counts [images]."""
    total = np.zeros(len(table.owner))
    for joined in table.joined:
        total += _cosines(joined, table.owner, images=table.images)
    # In bigrams, as the official scorer compares lengths.
    lengths = np.maximum(table.lengths - 1, 0)[table.owner]
    gap = lengths - np.maximum(table.reference_lengths - 1, 0)
    each = total / MAX_N * np.exp(-(gap * gap) / (2 * SIGMA * SIGMA))
    known = np.bincount(table.owner, minlength=table.images)
    scores: Floats = SCALE * np.bincount(table.owner, each, minlength=table.images) / known
    return scores


def _cosines(joined: Joined, owner: npt.NDArray[np.int64], *, images: int) -> Floats:
    """The clipped cosine of each reference [references] with its candidate, for one n."""
    mine, yours = joined.candidates, joined.references
    # Sorted by hand: NumPy's own way to different values takes many times as long here.
    seen = np.sort(owner[yours.text] * joined.grams + yours.gram)
    seen = seen[np.append(True, seen[1:] != seen[:-1])[: len(seen)]] % max(1, joined.grams)
    documents = np.bincount(seen, minlength=joined.grams)
    idf = math.log(images) - np.log(np.maximum(documents, 1))  # a stranger counts as the rarest
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
