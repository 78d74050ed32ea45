"""Whether two pictures look the same, though stored anew: at other quality, size or format.

A picture is described by a difference hash (is each of a grid's cells lighter than the one left of
it, than the one above it) and by the colours of a coarse grid. Both must be close: the hash alone
takes simple drawings for each other, the colours alone all night skies. Mirrored, turned, tinted or
strongly cropped copies are not found, and pictures of nearly one colour are not compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

GRID = 8  # cells a side
BITS = 2 * GRID * GRID
# Of 44,850 pairs of different composed scenes none was this close; the farthest of copies at half
# the size or JPEG quality 75 was at 15 bits and 1.0 shades, a crop of 2% a side at 28 and 6.6.
MOST_BITS = 24  # of the hash that may differ
MOST_SHADES = 8.0  # of 255, the mean difference of the colours
LEAST_CONTRAST = 4.0  # standard deviation of the grid's colours
AT_ONCE = 256  # pictures compared in one go
CLOSEST = 5  # matches kept of one picture

Signs = Float[np.ndarray, "pictures bits"]  # 1 or -1
Shades = Float[np.ndarray, "pictures values"]  # 0 to 255


@dataclass(frozen=True)
class Likeness:
    """What a picture looks like; compare many with a `Gallery`."""

    signs: Float[np.ndarray, "bits"]
    shades: Float[np.ndarray, "values"]


def likeness_of(image: Image.Image) -> Likeness | None:
    """The description of an RGB image; None where it is nearly of one colour."""
    box = Image.Resampling.BOX  # means over cells, which noise and size hardly change
    shades = np.asarray(image.resize((GRID, GRID), box), dtype=np.float32).ravel()
    if float(shades.reshape(-1, 3).std(axis=0).max()) < LEAST_CONTRAST:
        return None
    grey = image.convert("L")
    wide = np.asarray(grey.resize((GRID + 1, GRID), box), dtype=np.int16)
    high = np.asarray(grey.resize((GRID, GRID + 1), box), dtype=np.int16)
    lighter = np.concatenate(
        [(np.diff(wide, axis=1) > 0).ravel(), (np.diff(high, axis=0) > 0).ravel()]
    )
    return Likeness(np.where(lighter, 1, -1).astype(np.float32), shades)


class Gallery:
    """Pictures to find again."""

    def __init__(self, likenesses: Sequence[Likeness]) -> None:
        self._signs, self._shades = _stacked(likenesses)

    def matches(self, likenesses: Sequence[Likeness]) -> Iterator[list[int]]:
        """For each picture the places of those in the gallery that look like it, closest first."""
        for start in range(0, len(likenesses), AT_ONCE):
            signs, shades = _stacked(likenesses[start : start + AT_ONCE])
            differing = (BITS - signs @ self._signs.T) / 2
            for own, bits in zip(shades, differing, strict=True):
                near = np.flatnonzero(bits <= MOST_BITS)
                apart = np.abs(self._shades[near] - own).mean(axis=1)
                order = np.argsort(apart, kind="stable")
                yield [int(near[place]) for place in order if apart[place] <= MOST_SHADES][:CLOSEST]


def _stacked(likenesses: Sequence[Likeness]) -> tuple[Signs, Shades]:
    if not likenesses:
        return np.zeros((0, BITS), np.float32), np.zeros((0, 3 * GRID * GRID), np.float32)
    signs = np.stack([each.signs for each in likenesses])
    return signs, np.stack([each.shades for each in likenesses])
