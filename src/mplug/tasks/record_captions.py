"""Captions of records' pictures, scored as the official scorer does, with intervals."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from mplug.metrics.baselines import most_frequent
from mplug.metrics.bleu import bleu_parts, bleu_scores
from mplug.metrics.bootstrap import mean_parts, ratio
from mplug.metrics.caption_figures import Tokenised, caption_figures, jar_figures
from mplug.metrics.captions import MAX_N
from mplug.tasks.evaluation import BLANK
from mplug.tasks.figures import Figure, Floats, figure_of

BLEU = {f"bleu_{n}": n for n in range(1, MAX_N + 1)}


class CaptionScores(NamedTuple):
    """Figures, and why some metrics are missing."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def caption_scores(
    said: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    blind: str,
    learned: Sequence[str],
    split: str,
    settings: dict[str, str],
) -> CaptionScores:
    """BLEU, ROUGE-L, CIDEr-D, and METEOR and SPICE where their programs are.

    `blind` is the caption of a grey picture; the commonest of the `learned` ones stands beside it.
    """
    captions = Tokenised.of(said, references)
    others = {BLANK: blind}
    if learned:
        others["most_frequent_caption"] = most_frequent(learned)
    tokens = {name: Tokenised.of([text] * len(said), references) for name, text in others.items()}
    scored = {name: _values(each, split) for name, each in tokens.items()}
    judged = jar_figures(captions, split=split)
    figures = []
    for each in (*caption_figures(captions, split=split), *judged.figures):
        n = BLEU.get(each.metric)
        parts = mean_parts(each.per_image) if n is None else _bleu_parts(captions)
        figures.append(
            figure_of(
                "captioning",
                each.signature,
                parts,
                statistic=ratio if n is None else partial(_bleu, n=n),
                baselines={
                    name: values[each.metric]
                    for name, values in scored.items()
                    if each.metric in values
                },
                settings=settings,
            )
        )
    return CaptionScores(tuple(figures), tuple(judged.missing))


def _values(captions: Tokenised, split: str) -> dict[str, float]:
    return {each.metric: each.value for each in caption_figures(captions, split=split)}


def _bleu_parts(captions: Tokenised) -> Floats:
    words = [" ".join(tokens).split() for tokens in captions.candidates]
    references = [[" ".join(tokens).split() for tokens in one] for one in captions.references]
    return bleu_parts(words, references)


def _bleu(sums: Floats, *, n: int) -> Floats:
    """BLEU-n of the corpus; a caption without a word is worth nothing."""
    scores: Floats = np.where(sums[:, -2] > 0, bleu_scores(sums)[:, n - 1], 0.0)
    return scores
