"""ROUGE-L over token lists, as the official COCO caption scorer computes it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import Tokens

BETA = 1.2  # how much recall counts for more than precision


def rouge_l(
    candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> npt.NDArray[np.float64]:
    """ROUGE-L of each image [images]; their mean is the score of the corpus.

    Precision and recall of the longest common subsequence, each the best over the references,
    which need not be the same one. (Lin 2004.)

    Raises:
        ValueError: the two lists differ in length, or an image has no reference.
    """
    pairs = zip(candidates, references, strict=True)
    return np.array([_score(*pair) for pair in pairs], dtype=np.float64)


def common_length(first: Tokens, second: Tokens) -> int:
    """How many tokens the longest common subsequence has.

    A row of the usual table at a time, held in the bits of one integer: bit i is 0 where the
    table grows at token i of `first`. (Hyyrö 2004.)
    """
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    row = full = (1 << len(first)) - 1
    for token in second:
        matched = row & places.get(token, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(first) - row.bit_count()


def _score(candidate: Tokens, references: Sequence[Tokens]) -> float:
    if not references:
        raise ValueError("ROUGE-L needs at least one reference for every image")
    common = [common_length(candidate, reference) for reference in references]
    if not any(common):
        return 0.0
    precision = max(common) / len(candidate)
    recall = max(
        length / len(reference)
        for length, reference in zip(common, references, strict=True)
        if reference
    )
    weight = BETA * BETA
    return (1 + weight) * precision * recall / (recall + weight * precision)
