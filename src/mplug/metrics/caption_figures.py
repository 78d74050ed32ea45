"""All the metrics of the official COCO caption scorer at once, each with its signature."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.metrics import official_jars
from mplug.metrics.bleu import bleu_of
from mplug.metrics.captions import MAX_N, Tokens
from mplug.metrics.cider import cider_d_of
from mplug.metrics.ngram_table import NGramTable
from mplug.metrics.ptb import PTB_TOKENISER, ptb_tokens
from mplug.metrics.rouge import BETA, rouge_l
from mplug.metrics.signature import Signature, caption_signature, cider_signature


class Figure(NamedTuple):
    """A score of the corpus, what it is made of, and the score of each image [images]."""

    value: float
    signature: Signature
    per_image: npt.NDArray[np.float64]

    @property
    def metric(self) -> str:
        """Its name, such as `bleu_4`."""
        return self.signature.metric


class Tokenised(NamedTuple):
    """One candidate and the references of each image, cut into tokens."""

    candidates: list[list[str]]
    references: list[list[list[str]]]

    @classmethod
    def of(cls, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> "Tokenised":
        """From captions as people or models write them."""
        return cls(
            [ptb_tokens(candidate) for candidate in candidates],
            [[ptb_tokens(text) for text in texts] for texts in references],
        )

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.candidates)

    @property
    def texts(self) -> int:
        """How many references there are."""
        return sum(len(texts) for texts in self.references)

    def signature(self, metric: str, *, split: str, settings: dict[str, str]) -> Signature:
        """The signature of a metric over these."""
        return caption_signature(
            metric,
            split=split,
            images=self.images,
            references=self.texts,
            tokeniser=PTB_TOKENISER,
            settings=settings,
        )


def caption_figures(captions: Tokenised, *, split: str) -> list[Figure]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D: equal to the official scorer's, without Java.

    CIDEr-D takes document frequencies from these references, so its value belongs to this set of
    images. The caption of an image without a word scores 0 everywhere.

    Raises:
        ValueError: the lists differ in length, there is no image, or one has no reference.
    """
    # The official BLEU and CIDEr-D split at every blank, its ROUGE-L at plain ones only.
    words = [_words(tokens) for tokens in captions.candidates]
    references = [[_words(tokens) for tokens in texts] for texts in captions.references]
    table = NGramTable.of(words, references, metric="a caption metric")
    corpus, per_image = bleu_of(table)
    choices = {"length": "closest", "corpus": "counts"}
    figures = [
        Figure(
            float(corpus[n - 1]),
            captions.signature(f"bleu_{n}", split=split, settings=choices),
            per_image[:, n - 1],
        )
        for n in range(1, MAX_N + 1)
    ]
    choices = {"beta": str(BETA), "corpus": "mean"}
    named = captions.signature("rouge_l", split=split, settings=choices)
    figures.append(_mean(rouge_l(*captions), named))
    named = cider_signature(
        split=split,
        images=captions.images,
        references=captions.texts,
        tokeniser=PTB_TOKENISER,
        document_frequency="references",
    )
    figures.append(_mean(cider_d_of(table), named))
    return figures


class JarFigures(NamedTuple):
    """What the official programs said, and why some could not be asked."""

    figures: list[Figure]
    missing: list[str]


def jar_figures(
    captions: Tokenised, *, split: str, metrics: Collection[str] = ("meteor", "spice")
) -> JarFigures:
    """METEOR and SPICE where Java and their jars are, and a sentence for each that is not."""
    figures, missing = [], []
    for metric, version, lacking, judge in (
        (
            "meteor",
            official_jars.METEOR_VERSION,
            official_jars.why_no_meteor(),
            official_jars.meteor,
        ),
        ("spice", official_jars.SPICE_VERSION, official_jars.why_no_spice(), official_jars.spice),
    ):
        if metric not in metrics:
            continue
        if lacking:
            missing.append(lacking)
            continue
        judged = judge(
            [" ".join(tokens) for tokens in captions.candidates],
            [[" ".join(tokens) for tokens in texts] for texts in captions.references],
        )
        named = captions.signature(metric, split=split, settings={"jar": version})
        figures.append(Figure(judged.corpus, named, judged.per_image))
    return JarFigures(figures, missing)


def _mean(per_image: npt.NDArray[np.float64], signature: Signature) -> Figure:
    return Figure(float(per_image.mean()), signature, per_image)


def _words(tokens: Tokens) -> list[str]:
    return " ".join(tokens).split()
