"""What a scene holds: its picture, its objects with exact boxes, and where they stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Direction = Literal["left of", "right of", "above", "below"]

OPPOSITE: dict[Direction, Direction] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
LEAST_DISTANCE = 12 / 96  # of the picture's side: nearer centres stand in no clear relation
CLEAR = 1.25  # how many times the longer axis must exceed the other to be worth saying
SAME_HEIGHT = 16 / 96  # of the picture's side: "beside" allows this much up or down


class Box(NamedTuple):
    """Pixels [x0, x1) x [y0, y1) of the picture."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """In square pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def shared(self, other: "Box") -> float:
        """How much of the smaller box the two have in common, from 0 to 1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(width, 0) * max(height, 0) / min(self.area, other.area)


@dataclass(frozen=True)
class Placed:
    """One drawing in a scene."""

    name: str
    artist: str
    box: Box
    colour: str | None = None  # a word, where most of the drawing agrees on it
    painted: bool = False  # all in shades of `colour`, whatever colours the artist chose


class Relation(NamedTuple):
    """`first` is `direction` `second`, by the axis on which their centres differ most."""

    first: str
    direction: Direction
    second: str


@dataclass(frozen=True)
class Scene:
    """A picture [size, size, 3] and what is in it."""

    image: Pixels
    objects: tuple[Placed, ...]
    screen: Box | None = None  # a striped screen, behind which more could stand

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' names, in the order they were placed."""
        return tuple(each.name for each in self.objects)

    def relations(self) -> Iterator[Relation]:
        """Every ordered pair of objects that stands in a clear relation."""
        for first, second in permutations(self.objects, 2):
            direction = self.direction(first, second)
            if direction is not None and self.is_clear(first, second):
                yield Relation(first.name, direction, second.name)

    def direction(self, first: Placed, second: Placed) -> Direction | None:
        """Where `first` stands, seen from `second`; None where the centres nearly meet."""
        right, down = self.offset(first.box, second.box)
        if max(abs(right), abs(down)) < LEAST_DISTANCE:
            return None
        if abs(right) >= abs(down):
            return "left of" if right < 0 else "right of"
        return "above" if down < 0 else "below"

    def is_clear(self, first: Placed, second: Placed) -> bool:
        """Whether one axis outweighs the other enough for a single word to say it."""
        shorter, longer = sorted(abs(value) for value in self.offset(first.box, second.box))
        return longer >= CLEAR * shorter

    def beside(self, first: Placed, second: Placed) -> bool:
        """Whether the two stand left and right of one another at about the same height."""
        down = self.offset(first.box, second.box)[1]
        return abs(down) < SAME_HEIGHT and self.direction(first, second) in ("left of", "right of")

    def offset(self, one: Box, other: Box) -> tuple[float, float]:
        """From the centre of `other` to that of `one`: right and down, in shares of the sides."""
        height, width = self.image.shape[:2]
        right = (one.x0 + one.x1 - other.x0 - other.x1) / (2 * width)
        down = (one.y0 + one.y1 - other.y0 - other.y1) / (2 * height)
        return right, down
