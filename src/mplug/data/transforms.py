"""Pictures to the arrays that models read, plainly or with training's random changes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageOps

from mplug.data.augment import Randomness, rand_augment, recolour
from mplug.data.text import mirror_caption

# CLIP's, which the visual encoder was made for.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
ASPECTS = (3 / 4, 4 / 3)  # of a crop
CROP_ATTEMPTS = 10
FLIP_SHARE = 0.5

Pixels = np.ndarray[Any, np.dtype[np.float32]]

# What each of the 256 values becomes, for each channel: looking up is three times as fast as the
# arithmetic on every pixel, and gives the same bits.
_NORMALISED = ((np.arange(256, dtype=np.float32)[:, None] / 255 - MEAN) / STD).T.copy()


@runtime_checkable
class Augmentation(Protocol):
    """Changes a picture, and its caption with it, at random."""

    def __call__(
        self, image: Image.Image, caption: str, *, random: Randomness, may_flip: bool = True
    ) -> tuple[Image.Image, str]:
        """The changed picture and what is true of it; every choice is drawn from `random`."""
        ...


def to_array(image: Image.Image, *, size: int) -> Pixels:
    """A normalised [3, size, size] array; the picture is resized without keeping its aspect."""
    values = _resized(image, size=size)
    pixels = np.empty((3, size, size), dtype=np.float32)
    for channel, known in enumerate(_NORMALISED):
        np.take(known, values[:, :, channel], out=pixels[channel], mode="clip")
    return pixels


def _resized(image: Image.Image, *, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB values [size, size, 3] by Pillow's bicubic filter.

    torch has the same filter with the machine's vector instructions: a third of the time, and a
    few values in a thousand one level apart, where sums are rounded.
    """
    if image.mode != "RGB" or image.size == (size, size):
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(image.convert("RGB"))
    import torch  # late: what draws and checks pictures needs none
    from torch.nn.functional import interpolate

    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    resized = interpolate(whole, size=(size, size), mode="bicubic", antialias=True)
    values: np.ndarray[Any, np.dtype[np.uint8]] = resized[0].permute(1, 2, 0).numpy()
    return values


def to_image(pixels: Pixels) -> Image.Image:
    """The picture that `to_array` made `pixels` [3, height, width] of."""
    values = np.asarray(pixels, dtype=np.float32).transpose(1, 2, 0) * STD + MEAN
    return Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))


@dataclass(frozen=True)
class PretrainAugmentation:
    """Random resized crop, flip and RandAugment, as in mPLUG's pretraining."""

    size: int
    smallest_share: ClassVar[float] = 0.2  # of the picture's area that a crop keeps

    def __call__(
        self, image: Image.Image, caption: str, *, random: Randomness, may_flip: bool = True
    ) -> tuple[Image.Image, str]:
        """A square picture of side `size`, with its caption."""
        image = random_resized_crop(
            image, size=self.size, smallest_share=self.smallest_share, random=random
        )
        image, caption = random_flip(image, caption, random=random, may_flip=may_flip)
        return rand_augment(image, random=random), caption


@dataclass(frozen=True)
class FinetuneAugmentation(PretrainAugmentation):
    """The same with larger crops, as in fine-tuning."""

    smallest_share: ClassVar[float] = 0.5


@dataclass(frozen=True)
class RecolourAugmentation(FinetuneAugmentation):
    """The same in other colours, for drawings of one thing by artists who paint differently.

    Only where texts name no colours: nobody asks here whether a red thing is still red.
    """

    def __call__(
        self, image: Image.Image, caption: str, *, random: Randomness, may_flip: bool = True
    ) -> tuple[Image.Image, str]:
        """A square picture of side `size`, with its caption."""
        image, caption = super().__call__(image, caption, random=random, may_flip=may_flip)
        return recolour(image, random=random), caption


def random_resized_crop(
    image: Image.Image, *, size: int, smallest_share: float, random: Randomness
) -> Image.Image:
    """A random part of the picture, resized to a square (bicubic)."""
    part = random_part(image.size, smallest_share=smallest_share, random=random)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=part)


def random_part(
    size: tuple[int, int],
    *,
    smallest_share: float,
    random: Randomness,
    keep: tuple[float, float, float, float] | None = None,
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random part of a picture of `size` (width, height).

    The part has `smallest_share` to all of the area and an aspect within `ASPECTS`; where no such
    part is found (very long pictures), it is the largest central one within `ASPECTS`. A box to
    `keep` lies wholly in the part, which is the whole picture where no other is found.
    """
    width, height = size
    x0, y0, x1, y1 = keep or (width, height, 0, 0)  # the last: nothing that a part could cut
    for _ in range(CROP_ATTEMPTS):
        area = width * height * random.uniform(smallest_share, 1)
        aspect = math.exp(random.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
        across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        lefts = range(max(0, math.ceil(x1) - across), min(math.floor(x0), width - across) + 1)
        tops = range(max(0, math.ceil(y1) - down), min(math.floor(y0), height - down) + 1)
        if across and down and lefts and tops:
            left = lefts[int(random.integers(len(lefts)))]
            top = tops[int(random.integers(len(tops)))]
            return left, top, left + across, top + down
    if keep is not None:
        return 0, 0, width, height
    aspect = min(max(width / height, ASPECTS[0]), ASPECTS[1])
    across = max(1, min(width, round(height * aspect)))
    down = max(1, min(height, round(width / aspect)))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def random_flip(
    image: Image.Image, caption: str, *, random: Randomness, may_flip: bool = True
) -> tuple[Image.Image, str]:
    """Mirrors half of the pictures and swaps left and right in their captions.

    A picture whose mirrored caption is not certain stays as it is.
    """
    chosen = random.random() < FLIP_SHARE  # drawn in any case, so that later draws do not shift
    mirrored = mirror_caption(caption) if chosen and may_flip else None
    return (image, caption) if mirrored is None else (ImageOps.mirror(image), mirrored)
