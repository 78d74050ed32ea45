"""Drawings made ready to place: turned, resized, coloured; the shapes are kept for reuse."""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from mplug.data.scenes.world import Pixels, drawing

VISIBLE = 16  # alpha, of 255: a box ends where a drawing is fainter than this
SEEN = [255 * (alpha >= VISIBLE) for alpha in range(256)]
OPAQUE = 200
AGREE = 0.6  # share of a drawing's opaque pixels that makes a colour its colour
LEVELS = np.linspace(0, 1, 256)
PAINTS = {  # by the word everyone would use, in any of the shades that `painted` gives
    "red": (225, 25, 30),
    "yellow": (250, 220, 20),
    "green": (35, 180, 55),
    "blue": (40, 90, 230),
    "purple": (150, 50, 205),
    "grey": (140, 140, 140),
}
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # how bright red, green and blue look
DARKEST = 0.6  # of a paint, where the drawing is black
WHITEST = 0.4  # of the way from a paint to white, where the drawing is white
CACHE_BYTES = 192 * 1024 * 1024  # per process; all shapes of a 200-concept world at 64 pixels

_shapes: dict[tuple[str, str, int, int], Pixels] = {}
_shape_bytes = 0


def shape(artist: str, name: str, *, side: int, degrees: int) -> Pixels:
    """A drawing as straight RGBA [height, width, 4] whose longest side is about `side` pixels."""
    global _shape_bytes
    key = (artist, name, side, degrees)
    if key not in _shapes:
        made = _make_shape(artist, name, side, degrees)
        if _shape_bytes + made.nbytes > CACHE_BYTES:
            _shapes.clear()
            _shape_bytes = 0
        _shapes[key] = made
        _shape_bytes += made.nbytes
    return _shapes[key]


def _make_shape(artist: str, name: str, side: int, degrees: int) -> Pixels:
    # Pillow premultiplies while it resizes and turns straight RGBA; doing so before would do it
    # twice and leave white rims.
    image = Image.fromarray(drawing(artist, name))
    if degrees:
        image = image.rotate(degrees, Image.Resampling.BILINEAR, expand=True)
        image = image.crop(_visible_box(image))
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    made = np.array(image.crop(_visible_box(image)))
    made.flags.writeable = False
    return made


def _visible_box(image: Image.Image) -> tuple[int, int, int, int]:
    seen = image.getchannel("A").point(SEEN)
    return seen.getbbox() or (0, 0, *image.size)


def recolour(paint: Pixels, random: np.random.Generator) -> Pixels:
    """Other paints for RGB [height, width, 3]: gains, brightness, gamma, at times half grey."""
    gains = random.uniform(0.75, 1.25, 3) * random.uniform(0.8, 1.2)
    gamma = np.exp(random.uniform(-0.25, 0.25))
    table = (np.minimum(gains[:, None] * LEVELS, 1) ** gamma * 255).astype(np.uint8)
    painted = np.empty_like(paint)
    for channel in range(3):
        painted[..., channel] = table[channel].take(paint[..., channel])
    if random.random() < 0.1:
        share = random.uniform(0.3, 0.9)
        grey = painted.mean(axis=2, keepdims=True)
        painted = (painted + (grey - painted) * share).astype(np.uint8)
    return painted


def painted(paint: Pixels, *, colour: str) -> Pixels:
    """RGB [height, width, 3] in shades of one of `PAINTS`, as light and dark as the drawing is."""
    return _shades(colour)[(paint @ GREY).astype(np.uint8)]


@cache
def _shades(colour: str) -> Pixels:
    """RGB [256, 3]: the paint darkened, itself in the middle, and mixed with white."""
    paint, levels = np.array(PAINTS[colour]), LEVELS[:, None]
    dark = paint * (DARKEST + (1 - DARKEST) * np.minimum(2 * levels, 1))
    mixed = dark + (255 - paint) * WHITEST * np.maximum(2 * levels - 1, 0)
    return mixed.astype(np.uint8)


@cache
def colour_word(artist: str, name: str) -> str | None:
    """The colour that most opaque pixels of a drawing share, or None."""
    pixels = drawing(artist, name)
    opaque = pixels[pixels[..., 3] >= OPAQUE][:, :3]
    if not len(opaque):
        return None
    hsv = np.array(Image.fromarray(opaque[None]).convert("HSV"))[0].astype(int)
    shares = {word: float(agree.mean()) for word, agree in _colours(hsv).items()}
    word = max(shares, key=lambda each: shares[each])
    return word if shares[word] >= AGREE else None


def colour_share(pixels: Pixels, colour: str) -> float:
    """The share of RGB pixels [n, 3] that a colour word fits."""
    hsv = np.array(Image.fromarray(pixels[None]).convert("HSV"))[0].astype(int)
    return float(_colours(hsv)[colour].mean())


def _colours(hsv: npt.NDArray[np.int_]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each colour word, which of the pixels [n, 3] of hue, saturation, value it fits.

    The ranges leave gaps: a pixel between two colours counts for neither.
    """
    hue, saturation, value = hsv.T
    degrees = hue * 360 // 255
    dark, pale = value < 60, (saturation < 45) & (value >= 60)
    vivid = (value >= 60) & (saturation >= 90)
    light = vivid & (value >= 140)
    return {
        "black": dark,
        "white": pale & (value >= 215),
        "grey": pale & (value < 190),
        "red": light & ((degrees < 12) | (degrees >= 345)),
        "yellow": light & (degrees >= 40) & (degrees < 62),
        "green": vivid & (degrees >= 85) & (degrees < 160),
        "blue": vivid & (degrees >= 190) & (degrees < 245),
        "purple": vivid & (degrees >= 255) & (degrees < 290),
        "brown": vivid & (degrees >= 10) & (degrees < 35) & (value < 150),
    }
