"""BLEU-1 to BLEU-4 over token lists, as the official COCO caption scorer computes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import MAX_N, Tokens
from mplug.metrics.ngram_table import Ints, Joined, NGramTable

Floats = npt.NDArray[np.float64]

# The official constants: a precision of 0 is a tiny number, so the mean stays defined.
SMALL = 1e-9
TINY = 1e-15


class Bleu(NamedTuple):
    """BLEU-1 to BLEU-4 of the corpus [4], and of each image alone [images, 4]."""

    corpus: Floats
    per_image: Floats


def bleu(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Bleu:
    """Clipped n-gram precisions of one candidate an image, with the brevity penalty.

    The length to reach is that of the closest reference, of two equally close the shorter. The
    corpus value is made of counts summed over images: it is no mean. (Papineni et al. 2002.)

    Raises:
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    return bleu_of(NGramTable.of(candidates, references, metric="BLEU"))


def bleu_of(table: NGramTable) -> Bleu:
    """The same from counts."""
    parts = bleu_parts_of(table)
    return Bleu(bleu_scores(parts.sum(axis=0)), bleu_scores(parts))


def bleu_parts(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """The counts of each image [images, 10] that `bleu_scores` makes scores of, for intervals.

    Matched n-grams for n of 1 to 4, all n-grams for each n, own length, length to reach.

    Raises:
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    return bleu_parts_of(NGramTable.of(candidates, references, metric="BLEU"))


def bleu_parts_of(table: NGramTable) -> Floats:
    """The same from counts [images, 10]."""
    matched = [_matched(joined, images=table.images) for joined in table.joined]
    total = [np.maximum(table.lengths - n + 1, 0) for n in range(1, MAX_N + 1)]
    columns = [*matched, *total, table.lengths, _closest(table)]
    return np.stack(columns, axis=1).astype(np.float64)


def _matched(joined: Joined, *, images: int) -> Ints:
    """N-grams of each candidate [images], each as often as one reference has it at most."""
    most = np.zeros(len(joined.candidates.times), dtype=np.int64)
    np.maximum.at(most, joined.place[joined.shared], joined.references.times[joined.shared])
    clipped = np.minimum(joined.candidates.times, most)
    # Counts are small integers, which floats hold exactly.
    matched: Ints = np.bincount(joined.candidates.text, clipped, minlength=images).astype(np.int64)
    return matched


def _closest(table: NGramTable) -> Ints:
    """The length of the closest reference of each image [images], of equally close the shorter."""
    gap = np.abs(table.reference_lengths - table.lengths[table.owner])
    order = np.lexsort((table.reference_lengths, gap, table.owner))
    first = np.searchsorted(table.owner[order], np.arange(table.images))
    closest: Ints = table.reference_lengths[order][first]
    return closest


def bleu_scores(counts: Floats) -> Floats:
    """Sums of `bleu_parts` [..., 10] to BLEU-1 to BLEU-4 [..., 4]."""
    matched, total = counts[..., :MAX_N], counts[..., MAX_N : 2 * MAX_N]
    length, closest = counts[..., -2:-1], counts[..., -1:]
    precisions = (matched + TINY) / (total + SMALL)
    means = np.cumprod(precisions, axis=-1) ** (1.0 / np.arange(1, MAX_N + 1))
    ratio = (length + TINY) / (closest + SMALL)
    return means * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
