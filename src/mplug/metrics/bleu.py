"""BLEU-1 to BLEU-4 over token lists, as the official COCO caption scorer computes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import MAX_N, Tokens, ngram_counts

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
    counts = bleu_parts(candidates, references)
    return Bleu(bleu_scores(counts.sum(axis=0)), bleu_scores(counts))


def bleu_parts(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """The counts of each image [images, 10] that `bleu_scores` makes scores of, for intervals.

    Raises:
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    if not candidates:
        raise ValueError("BLEU needs at least one image")
    pairs = zip(candidates, references, strict=True)
    return np.array([_counts(*pair) for pair in pairs], dtype=np.float64)


def _counts(candidate: Tokens, references: Sequence[Tokens]) -> list[int]:
    """Matched n-grams for n of 1 to 4, all n-grams for each n, own length, length to reach."""
    if not references:
        raise ValueError("BLEU needs at least one reference for every image")
    matched = [0] * MAX_N
    known = [ngram_counts(reference) for reference in references]
    for ngram, count in ngram_counts(candidate).items():
        matched[len(ngram) - 1] += min(count, max(counts[ngram] for counts in known))
    length = len(candidate)
    total = [max(0, length - n + 1) for n in range(1, MAX_N + 1)]
    closest = min((len(reference) for reference in references), key=lambda n: (abs(n - length), n))
    return [*matched, *total, length, closest]


def bleu_scores(counts: Floats) -> Floats:
    """Sums of `bleu_parts` [..., 10] to BLEU-1 to BLEU-4 [..., 4]."""
    matched, total = counts[..., :MAX_N], counts[..., MAX_N : 2 * MAX_N]
    length, closest = counts[..., -2:-1], counts[..., -1:]
    precisions = (matched + TINY) / (total + SMALL)
    means = np.cumprod(precisions, axis=-1) ** (1.0 / np.arange(1, MAX_N + 1))
    ratio = (length + TINY) / (closest + SMALL)
    return means * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
