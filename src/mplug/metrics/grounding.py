"""How well predicted boxes meet the true ones: overlap (IoU) and accuracy at a threshold.

Boxes are x0, y0, x1, y1 in any unit, the same for both sides of a comparison.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

THRESHOLD = 0.5  # an overlap of exactly this much counts as found


class Grounding(NamedTuple):
    """Accuracy and mean overlap, as fractions, and both for each phrase [phrases]."""

    accuracy: float
    mean_iou: float
    found: Floats  # 1 or 0
    iou: Floats


def iou(boxes: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """Shared area over joint area of every box with every other one [boxes, others].

    A box without area, or with its corners the wrong way round, overlaps nothing.

    Raises:
        ValueError: boxes are not [boxes, 4] or not finite.
    """
    first, second = _boxes(boxes, name="boxes"), _boxes(others, name="others")
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=-1)
    joint = _area(first)[:, None] + _area(second)[None] - shared
    # A box turned inside out has no area, and what it "shares" is no overlap either.
    real = (_area(first)[:, None] > 0) & (_area(second)[None] > 0)
    return np.divide(shared, joint, out=np.zeros_like(shared), where=real)


def clipped(boxes: npt.ArrayLike, *, width: int | float, height: int | float) -> Floats:
    """Boxes [boxes, 4] cut off at the borders of their picture, as predictions are scored."""
    return np.clip(_boxes(boxes, name="boxes"), 0.0, [width, height, width, height])


def grounding_accuracy(
    predicted: npt.ArrayLike,
    true: Sequence[npt.ArrayLike],
    *,
    threshold: float = THRESHOLD,
) -> Grounding:
    """Score one predicted box for each phrase [phrases, 4] against its true ones.

    `true` holds for each phrase one box [4] or several [boxes, 4]: of several, the one that the
    prediction overlaps most counts.

    Raises:
        ValueError: there is no phrase, the numbers of phrases differ, a phrase has no true box, a
            true box has no area, or boxes are not finite.
    """
    guesses = _boxes(predicted, name="predicted")
    if not len(guesses):
        raise ValueError("grounding accuracy needs at least one phrase")
    if len(guesses) != len(true):
        raise ValueError(f"{len(guesses)} predicted boxes but true ones for {len(true)} phrases")
    pairs = enumerate(zip(guesses, true, strict=True))
    overlaps = np.array([_best(*pair, phrase=phrase) for phrase, pair in pairs])
    found = (overlaps >= threshold).astype(np.float64)
    return Grounding(float(found.mean()), float(overlaps.mean()), found, overlaps)


def _best(guess: Floats, true: npt.ArrayLike, *, phrase: int) -> float:
    """The most that a predicted box [4] overlaps one of the true ones."""
    boxes = _boxes(np.atleast_2d(np.asarray(true, dtype=np.float64)), name=f"true box of {phrase}")
    if not len(boxes):
        raise ValueError(f"phrase {phrase} has no true box")
    if (_area(boxes) <= 0).any():
        raise ValueError(f"phrase {phrase} has a true box without area: {boxes.tolist()}")
    return float(iou(guess[None], boxes).max())


def _area(boxes: Floats) -> Floats:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None).prod(axis=-1)


def _boxes(values: npt.ArrayLike, *, name: str) -> Floats:
    boxes = np.asarray(values, dtype=np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} must be [boxes, 4], not of shape {list(boxes.shape)}")
    if not np.isfinite(boxes).all():
        raise ValueError(f"{name} is not finite: {boxes[~np.isfinite(boxes).all(axis=1)][0]}")
    return boxes
