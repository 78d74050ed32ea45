"""Drawn shapes for pictures."""

import io

import numpy as np
from PIL import Image, ImageDraw

from mplug.interfaces.report.examples import Picture

SHAPES = ("red ball", "box", "hot dog", "dog", "tree", "sun")
SPLITS = ("training_artists", "unseen_artist")


def picture(left: str, right: str, *, seed: int = 0, size: int = 64) -> Picture:
    """Two shapes side by side, as PNG."""
    shade = np.random.default_rng(seed).integers(150, 250, size=3)
    image = Image.new("RGB", (size, size), tuple(int(level) for level in shade))
    draw = ImageDraw.Draw(image)
    for place, name in ((size * 5 // 100, left), (size * 52 // 100, right)):
        hue = SHAPES.index(name) * 40
        box = (place, size // 4, place + size * 2 // 5, size * 7 // 10)
        shape = draw.ellipse if SHAPES.index(name) % 2 else draw.rectangle
        shape(box, fill=f"hsl({hue}, 80%, 45%)")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return Picture(buffer.getvalue(), f"{left} left of {right}")
