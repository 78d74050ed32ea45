"""What an evaluation asks of pictures, and what is right."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.data.scenes.scene import Scene

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in shares of the sides
Pixels = npt.NDArray[np.float32]  # normalised [pictures, 3, height, width]


class Ask(NamedTuple):
    """A text about one picture, a pair of pictures or the frames of a clip."""

    pictures: tuple[int, ...]  # their places among the pictures asked about
    text: str
    further: tuple[str, ...] = ()  # words seen in the picture, or a premise in words


@dataclass(frozen=True)
class Posed:
    """An ask, its kind, and what is right: an answer or a label, or any of a phrase's boxes."""

    ask: Ask
    right: str = ""
    boxes: tuple[Box, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Asked:
    """Everything that one task asks of the pictures of one split, and what each of them shows."""

    task: str
    split: str
    pixels: Pixels
    posed: tuple[Posed, ...]
    shown: tuple[str, ...] = ()
    scenes: tuple[Scene, ...] = ()  # with exact boxes, for a model that reads regions
