"""Boxes drawn on pictures, each with a label that can be read on any of them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mplug.errors import ConfigError, DataError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
COLOURS = ("#ffd400", "#00e5ff", "#ff7ad9", "#8cff5a", "#ffa64d")  # all light: dark writing on them
DARK = "#101010"
SMALLEST = 480  # pixels along the longer side, or no label would fit
LABEL_SHARE = 1 / 24  # of the longer side: the height of writing
# Pillow's own font has no letters beyond English; these are common, and have those of most scripts.
WIDE_FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
MARGIN = 4  # pixels around writing


def require_drawable(path: Path) -> None:
    """A picture can be written under this name.

    Raises:
        ConfigError: its ending is no picture's.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: name a picture that ends in {', '.join(SUFFIXES)}")


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture of the kind that `path` ends in.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error


def draw_boxes(
    image: Image.Image,
    boxes: Sequence[tuple[float, float, float, float]],
    *,
    labels: Sequence[str],
) -> Image.Image:
    """A copy with boxes (left, top, right, bottom in pixels), the first one on top.

    A small picture comes back larger, so that its labels can be read.
    """
    scale = max(1.0, SMALLEST / max(image.size))
    width, height = (round(side * scale) for side in image.size)
    drawn = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(drawn)
    line = max(2, max(drawn.size) // 200)
    for place in reversed(range(len(boxes))):
        corners = [value * scale for value in boxes[place]]
        colour = COLOURS[place % len(COLOURS)]
        # A dark line around a light one stands out from any background.
        draw.rectangle(corners, outline=DARK, width=3 * line)
        inner = [corners[0] + line, corners[1] + line, corners[2] - line, corners[3] - line]
        if inner[0] < inner[2] and inner[1] < inner[3]:
            draw.rectangle(inner, outline=colour, width=line)
        _label(draw, labels[place], corner=(corners[0], corners[1]), colour=colour)
    return drawn


def _label(
    draw: ImageDraw.ImageDraw, text: str, *, corner: tuple[float, float], colour: str
) -> None:
    """Writing on a ground of its own, above the box where there is room, else inside it."""
    width, height = draw.im.size
    font = _font(text, size=max(12.0, max(width, height) * LABEL_SHARE))
    text = _shortened(text, font=font, width=width - 2 * MARGIN)
    left, top, right, bottom = font.getbbox(text)
    across, down = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    x = min(max(corner[0], 0), max(width - across, 0))
    y = corner[1] - down if corner[1] >= down else min(max(corner[1], 0), max(height - down, 0))
    draw.rectangle((x, y, x + across, y + down), fill=colour, outline=DARK)
    draw.text((x + MARGIN - left, y + MARGIN - top), text, font=font, fill=DARK)


def _font(text: str, *, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or where that lacks letters, the first of `WIDE_FONTS` that is here."""
    if not text.isascii():
        for name in WIDE_FONTS:
            with suppress(OSError):  # not installed
                return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _shortened(text: str, *, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """As much of the text's beginning as fits, with an ellipsis for the rest."""
    shown = text = " ".join(text.split())
    while len(text) > 1 and font.getlength(shown) > width:
        text = text[:-1].rstrip()
        shown = f"{text}..."
    return shown
