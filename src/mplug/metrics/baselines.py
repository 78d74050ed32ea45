"""What can be had without learning to see: pixel neighbours, the commonest answer, chance.

A model's figure means something only beside these.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mplug.metrics.captions import Tokens

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]  # [height, width, 3]
Pictures = Sequence[Picture] | Picture  # of any sizes, or one array [pictures, height, width, 3]

SIDE = 16
LEVELS = 4  # of each colour channel: 4 * 4 * 4 = 64 bins
_CHUNK = 256


def pixel_features(pictures: Pictures) -> Features:
    """Each picture as 16x16 averaged pixels beside a 64-bin colour histogram [pictures, 832].

    Both halves are scaled so that black against white is at distance 1 in either.
    """
    rows = [np.concatenate([_small(picture), _histogram(picture)]) for picture in pictures]
    width = SIDE * SIDE * 3 + LEVELS**3
    return np.array(rows, dtype=np.float32).reshape(len(rows), width)


@dataclass(frozen=True)
class PixelNeighbours:
    """Answers for a new picture with what is known of the training picture most like it."""

    features: Features  # [training pictures, 832]

    @classmethod
    def of(cls, pictures: Pictures) -> "PixelNeighbours":
        """Remember the training pictures.

        Raises:
            ValueError: there is none.
        """
        if not len(pictures):
            raise ValueError("the pixel neighbour needs at least one training picture")
        return cls(pixel_features(pictures))

    def nearest(self, pictures: Pictures) -> npt.NDArray[np.intp]:
        """The position of the nearest training picture for each picture; the first of equals."""
        queries = pixel_features(pictures)
        squares = (self.features**2).sum(axis=1)
        # The query's own square is the same for every candidate, so it is left out.
        return np.concatenate(
            [np.zeros(0, dtype=np.intp)]
            + [
                (squares - 2 * queries[start : start + _CHUNK] @ self.features.T).argmin(axis=1)
                for start in range(0, len(queries), _CHUNK)
            ]
        )


@dataclass(frozen=True)
class WordOverlap:
    """How much two captions share, rare words counting more."""

    weights: dict[str, float]
    unseen: float

    @classmethod
    def of(cls, captions: Sequence[Tokens]) -> "WordOverlap":
        """Inverse document frequencies from training captions.

        Raises:
            ValueError: there is none.
        """
        if not captions:
            raise ValueError("word weights need at least one caption")
        seen = Counter(word for tokens in captions for word in set(tokens))
        total = len(captions) + 1
        weights = {word: math.log(total / count) for word, count in seen.items()}
        return cls(weights, math.log(total))

    def similarity(self, queries: Sequence[Tokens], candidates: Sequence[Tokens]) -> Floats:
        """Cosine of the captions as sets of weighted words [queries, candidates]."""
        words = sorted({word for tokens in (*queries, *candidates) for word in tokens})
        place = {word: column for column, word in enumerate(words)}
        cosines = self._rows(queries, place) @ self._rows(candidates, place).T
        return cosines.round(12)  # so that equal overlaps are ties, not rounding noise

    def _rows(self, captions: Sequence[Tokens], place: dict[str, int]) -> Floats:
        rows = np.zeros((len(captions), len(place)))
        for row, tokens in zip(rows, captions, strict=True):
            for word in set(tokens):
                row[place[word]] = self.weights.get(word, self.unseen)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1.0)


def most_frequent(values: Sequence[str]) -> str:
    """The commonest caption, answer or label; of equals, the first in the alphabet.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("what is most frequent takes at least one value")
    return heaviest(Counter(values))


def heaviest(weights: Mapping[str, int | float]) -> str:
    """The value of the largest weight; of equals, the first in the alphabet."""
    return min(weights, key=lambda value: (-weights[value], value))


@dataclass(frozen=True)
class AnswersByQuestion:
    """Answers without looking: the commonest answer to the same question, else to any question."""

    answers: dict[str, str]  # by the question's words
    majority: str

    @classmethod
    def of(cls, asked: Iterable[tuple[str, Mapping[str, int | float]]]) -> "AnswersByQuestion":
        """Learn from training questions, each with its answers and their weights.

        Raises:
            ValueError: there is none.
        """
        overall: dict[str, float] = {}
        by_question: dict[str, dict[str, float]] = {}
        for question, answers in asked:
            known = by_question.setdefault(_same(question), {})
            for answer, weight in answers.items():
                known[answer] = known.get(answer, 0.0) + weight
                overall[answer] = overall.get(answer, 0.0) + weight
        if not overall:
            raise ValueError("the commonest answers need at least one answered question")
        chosen = {question: heaviest(known) for question, known in by_question.items() if known}
        return cls(chosen, heaviest(overall))

    def answer(self, question: str) -> str:
        """The commonest training answer to this question, in any case and with any blanks."""
        return self.answers.get(_same(question), self.majority)


@dataclass(frozen=True)
class CentreBox:
    """A box in the middle of every picture, of the size that true boxes have in the median."""

    width: float  # as a share of the picture's
    height: float

    @classmethod
    def of(cls, boxes: npt.ArrayLike) -> "CentreBox":
        """Learn from training boxes x0, y0, x1, y1 as shares of the picture's sides [boxes, 4].

        Raises:
            ValueError: there is no box, or they are not [boxes, 4].
        """
        known = np.asarray(boxes, dtype=np.float64)
        if known.ndim != 2 or known.shape[1] != 4 or not len(known):
            raise ValueError(f"boxes must be [boxes, 4] with a box, not {list(known.shape)}")
        width, height = np.median(known[:, 2:] - known[:, :2], axis=0)
        return cls(float(width), float(height))

    def box(self, *, width: int | float = 1, height: int | float = 1) -> Floats:
        """The box x0, y0, x1, y1 [4] in a picture of this size."""
        half = np.array([self.width, self.height]) / 2.0
        return np.concatenate([0.5 - half, 0.5 + half]) * [width, height, width, height]


def random_captions(captions: Sequence[str], *, count: int, seed: int) -> list[str]:
    """`count` training captions drawn without looking at any picture."""
    drawn = np.random.default_rng(seed).integers(len(captions), size=count)
    return [captions[position] for position in drawn]


def chance_recall(*, gallery: int, k: int, right: int = 1) -> float:
    """Recall at k of a random order, when `right` of the `gallery` items are right.

    Raises:
        ValueError: there are more right items than items, or none.
    """
    if not 1 <= right <= gallery:
        raise ValueError(f"{right} right items in a gallery of {gallery}")
    places = min(k, gallery)
    return 1.0 - math.comb(gallery - right, places) / math.comb(gallery, places)


def _same(question: str) -> str:
    """Equal for questions that read the same."""
    return " ".join(question.lower().split())


def _small(picture: Picture) -> Floats:
    """Averages over SIDE x SIDE equal areas of a picture of any size, over sqrt of their count."""
    height, width, _ = picture.shape
    rows, columns = _area_weights(height), _area_weights(width)
    small = np.einsum("yh,hwc,xw->yxc", rows, picture / 255.0, columns, optimize=True)
    return small.reshape(-1) / math.sqrt(small.size)


def _area_weights(size: int) -> Floats:
    """Rows that average `size` pixels into SIDE bins, splitting pixels that straddle a border."""
    edges = np.linspace(0.0, size, SIDE + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1.0) - np.maximum(edges[:-1, None], pixels)
    shares = np.clip(overlap, 0.0, None)
    return shares / shares.sum(axis=1, keepdims=True)


def _histogram(picture: Picture) -> Floats:
    """Square roots of the shares of 64 colours over sqrt 2: distances are Hellinger's."""
    levels = (picture.astype(np.int64) * LEVELS) // 256
    bins = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]
    counts = np.bincount(bins.reshape(-1), minlength=LEVELS**3)
    return np.sqrt(counts / counts.sum() / 2.0)
