"""Training's random changes of pictures, with whatever is asked of them, so that it stays true."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from PIL import Image, ImageOps

from mplug.data.augment import (
    COLOURS,
    OPERATIONS,
    PLACES,
    Operation,
    Randomness,
    rand_augment,
)
from mplug.data.fields import Box
from mplug.data.places import depends_on_colours, mirrored, speaks_of_places, turn_pair
from mplug.data.records import Record
from mplug.data.transforms import FLIP_SHARE, random_part

SWAP_SHARE = 0.5  # of the pairs of pictures

Images = tuple[Image.Image, ...]
Change = Callable[[Image.Image, Randomness], Image.Image]


@dataclass(frozen=True)
class TaskAugmentation:
    """Random resized crop, flip and RandAugment, as far as what is asked allows.

    - What speaks of places or numbers of things keeps the whole picture, and no operation moves
      anything; a box stays wholly in the crop, and nothing moves it but crop and flip.
    - Left and right change places in all texts of a mirrored picture, or it is not mirrored.
    - Where a colour decides what is right, only operations that keep colours are used: on
      composed scenes equalising turns hues by 42 degrees on average, and stretching the contrast
      by 13.
    - Of two pictures, both are mirrored or none, and half of the pairs are exchanged, each as far
      as their statement allows.
    - All frames of a clip are changed alike.
    """

    size: int  # of the sides of the pictures that come out
    smallest_share: float  # of the picture's area that a crop keeps

    def __call__(
        self, images: Sequence[Image.Image], record: Record, *, random: Randomness
    ) -> tuple[Images, Record]:
        """Square pictures, and what the record says of them; every choice is drawn from `random`.

        `record` holds what is asked, one box at most, in pixels; its caption is the first, others
        are for comparison.
        """
        whole = speaks_of_places(record)
        operations = _operations(record, whole=whole)
        if len(record.images) == 2:
            left, right = (self._part(image, random, whole=whole, keep=None)[0] for image in images)
            pair, record = _turned((left, right), record, random)
            return tuple(_changed(image, random, operations) for image in pair), record
        images, record = self._cropped(images, record, random, whole=whole)
        images, record = _flipped(images, record, random)
        return _alike(images, lambda one, own: _changed(one, own, operations), random), record

    def _cropped(
        self, images: Sequence[Image.Image], record: Record, random: Randomness, *, whole: bool
    ) -> tuple[Images, Record]:
        keep = record.boxes[0] if record.boxes else None
        draws = [random, *(deepcopy(random) for _ in images[1:])]
        parts = [
            self._part(image, own, whole=whole, keep=keep)
            for image, own in zip(images, draws, strict=True)
        ]
        boxes = () if keep is None else (_moved(keep, parts[0][1], size=self.size),)
        return tuple(image for image, _ in parts), replace(record, boxes=boxes)

    def _part(
        self, image: Image.Image, random: Randomness, *, whole: bool, keep: Box | None
    ) -> tuple[Image.Image, Box]:
        part = (0, 0, *image.size)
        if not whole:
            part = random_part(
                image.size, smallest_share=self.smallest_share, random=random, keep=keep
            )
        size = (self.size, self.size)
        return image.resize(size, Image.Resampling.BICUBIC, box=part), part


def _operations(record: Record, *, whole: bool) -> tuple[Operation, ...]:
    refused: tuple[Operation, ...] = ()
    if whole or record.boxes:
        refused += PLACES
    if depends_on_colours(record):
        refused += COLOURS
    return tuple(operation for operation in OPERATIONS if operation not in refused)


def _alike(images: Sequence[Image.Image], change: Change, random: Randomness) -> Images:
    """The same change of each, drawn once."""
    draws = [random, *(deepcopy(random) for _ in images[1:])]
    return tuple(change(image, own) for image, own in zip(images, draws, strict=True))


def _changed(
    image: Image.Image, random: Randomness, operations: Sequence[Operation]
) -> Image.Image:
    return rand_augment(image, random=random, operations=operations)


def _moved(box: Box, part: Box, *, size: int) -> Box:
    """Where a box is in the part, which becomes a square."""
    left, top, right, bottom = part
    across, down = size / (right - left), size / (bottom - top)
    x0, y0, x1, y1 = box
    return (x0 - left) * across, (y0 - top) * down, (x1 - left) * across, (y1 - top) * down


def _flipped(images: Images, record: Record, random: Randomness) -> tuple[Images, Record]:
    """Mirrors half of the pictures, where everything asked of them can follow."""
    other = mirrored(record) if random.random() < FLIP_SHARE else None
    if other is None:
        return images, record
    width = images[0].width
    boxes = tuple((width - x1, y0, width - x0, y1) for x0, y0, x1, y1 in other.boxes)
    return tuple(ImageOps.mirror(image) for image in images), replace(other, boxes=boxes)


def _turned(pair: Images, record: Record, random: Randomness) -> tuple[Images, Record]:
    """Exchanges half of the pairs and mirrors half, as far as the statement can follow."""
    exchange, flip = random.random() < SWAP_SHARE, random.random() < FLIP_SHARE
    if record.text:  # nobody knows of which picture
        return pair, record
    turned = turn_pair(record.statement or "")
    if turned.mirrored is None and turned.exchanged is None:
        flip = exchange
    flipped = (ImageOps.mirror(pair[0]), ImageOps.mirror(pair[1]))
    if flip and exchange and turned.both is not None:
        return flipped[::-1], replace(record, statement=turned.both)
    if exchange and turned.exchanged is not None:
        return pair[::-1], replace(record, statement=turned.exchanged)
    if flip and turned.mirrored is not None:
        return flipped, replace(record, statement=turned.mirrored)
    return pair, record
