"""RandAugment as mPLUG uses it: two random operations, each half of the time, at one magnitude.

And other colours, for pictures whose texts name none.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Randomness: TypeAlias = np.random.Generator
Operation: TypeAlias = Callable[[Image.Image, Randomness], Image.Image]

NUM_OPERATIONS = 2
OPERATION_SHARE = 0.5
# Magnitude 7 of 10.
FACTOR = 1.36  # of brightness and sharpness, which only increase
SHEAR = 0.21
TRANSLATION = 7  # pixels, whatever the picture's size
ROTATION = 21  # degrees
FILL = (128, 128, 128)

RECOLOURED = (0.6, 1.4)  # times the brightness, the contrast and the saturation
HUES = 16  # of 256, either way
TURNED_SHARE = 0.5  # of the pictures, whose hues are turned


def identity(image: Image.Image, random: Randomness) -> Image.Image:
    """No change."""
    return image


def auto_contrast(image: Image.Image, random: Randomness) -> Image.Image:
    """Each channel stretched to the full range."""
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, random: Randomness) -> Image.Image:
    """Each channel's histogram flattened."""
    return ImageOps.equalize(image)


def brightness(image: Image.Image, random: Randomness) -> Image.Image:
    """Brighter."""
    return ImageEnhance.Brightness(image).enhance(FACTOR)


def sharpness(image: Image.Image, random: Randomness) -> Image.Image:
    """Sharper."""
    return ImageEnhance.Sharpness(image).enhance(FACTOR)


def shear_x(image: Image.Image, random: Randomness) -> Image.Image:
    """Rows shifted in proportion to their height."""
    return _affine(image, (1, SHEAR * _sign(random), 0, 0, 1, 0))


def shear_y(image: Image.Image, random: Randomness) -> Image.Image:
    """Columns shifted in proportion to their place."""
    return _affine(image, (1, 0, 0, SHEAR * _sign(random), 1, 0))


def translate_x(image: Image.Image, random: Randomness) -> Image.Image:
    """Shifted sideways."""
    return _affine(image, (1, 0, TRANSLATION * _sign(random), 0, 1, 0))


def translate_y(image: Image.Image, random: Randomness) -> Image.Image:
    """Shifted up or down."""
    return _affine(image, (1, 0, 0, 0, 1, TRANSLATION * _sign(random)))


def rotate(image: Image.Image, random: Randomness) -> Image.Image:
    """Turned about the centre."""
    angle = ROTATION * _sign(random)
    return image.rotate(angle, resample=Image.Resampling.BILINEAR, fillcolor=FILL)


NO_CHANGE: tuple[Operation, ...] = (identity,)
COLOURS: tuple[Operation, ...] = (auto_contrast, equalize, brightness)  # what changes them
DETAIL: tuple[Operation, ...] = (sharpness,)
PLACES: tuple[Operation, ...] = (shear_x, shear_y, translate_x, translate_y, rotate)
OPERATIONS = (*NO_CHANGE, *COLOURS, *DETAIL, *PLACES)


def rand_augment(
    image: Image.Image, *, random: Randomness, operations: Sequence[Operation] = OPERATIONS
) -> Image.Image:
    """An RGB picture of the same size, changed at random."""
    for _ in range(NUM_OPERATIONS):
        operation = operations[int(random.integers(len(operations)))]
        if random.random() < OPERATION_SHARE:
            image = operation(image, random)
    return image


def recolour(image: Image.Image, *, random: Randomness) -> Image.Image:
    """An RGB picture as someone with other paints, or in other light, would have it."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(random.uniform(*RECOLOURED)))
    if random.random() >= TURNED_SHARE:
        return image
    turn = int(random.integers(-HUES, HUES + 1))
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def _sign(random: Randomness) -> int:
    return 1 if random.random() < 0.5 else -1


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BILINEAR,
        fillcolor=FILL,
    )
