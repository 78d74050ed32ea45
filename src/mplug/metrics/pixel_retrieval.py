"""Retrieval by pixels alone: a picture gets the texts of the known pictures that look most like it.

What a model finds that never learned to see, but has the training pictures at hand.
"""

import numpy as np
import numpy.typing as npt

from mplug.metrics.baselines import Features

Floats = npt.NDArray[np.float64]

_CHUNK = 256


def pixel_similarity(
    queries: Features, *, known: Features, text_of_known: npt.ArrayLike, texts: int
) -> Floats:
    """How much each picture looks like the nearest known picture of each text [pictures, texts].

    Minus the squared distance of their features; minus infinity for a text that no known picture
    has. `text_of_known` says which text each known picture has, counted from 0; a negative number
    is a text that is not among those searched.

    Raises:
        ValueError: there are not as many texts as known pictures, or one is not below `texts`.
    """
    owner = np.asarray(text_of_known, dtype=np.int64)
    if owner.shape != (len(known),) or (owner >= texts).any():
        raise ValueError(
            f"text_of_known must hold {len(known)} numbers below {texts}, one a known picture"
        )
    searched = owner >= 0
    order = np.argsort(owner[searched], kind="stable")
    features, owner = known[searched][order], owner[searched][order]
    found, first = np.unique(owner, return_index=True)
    similarity = np.full((len(queries), texts), -np.inf)
    if not len(found):
        return similarity
    squares = (features**2).sum(axis=1)
    for start in range(0, len(queries), _CHUNK):
        some = queries[start : start + _CHUNK]
        own = (some**2).sum(axis=1, keepdims=True)
        distances = own + squares - 2 * some @ features.T
        similarity[start : start + _CHUNK, found] = -np.minimum.reduceat(distances, first, axis=1)
    return similarity
