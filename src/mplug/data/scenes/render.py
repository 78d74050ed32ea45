"""Composing scenes: a background, then drawings that hardly overlap, with their exact boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from mplug.data.scenes.phrases import COLOURS
from mplug.data.scenes.scene import Box, Placed, Scene
from mplug.data.scenes.sprites import PAINTS, colour_word, painted, recolour, shape
from mplug.data.scenes.world import Pixels, artists_with

Canvas = npt.NDArray[np.float32]

SIDES = (28 / 96, 31 / 96, 34 / 96, 38 / 96, 42 / 96, 48 / 96)  # of the picture, times the scale
LARGEST = 0.85  # of the picture's side, whatever the scale
TURNS = (-18, -9, 0, 9, 18)  # degrees; few, so that turned drawings can be kept
MAX_SHARED = 0.08  # of the smaller of two boxes
TRIES = 12  # places tried for an object before everything is drawn again, smaller
GRAINS = (64, 32, 16, 8)  # cells along a side of a noisy background
# Drawings with letters or numbers on them, which no mirror may show.
NEVER_FLIPPED = {"ambulance", "billiard ball", "fire engine", "mailbox", "money bag", "taxi"}
SCREEN = (0.22, 0.34)  # a side of a screen, in shares of the picture's
STRIPES = np.array([70, 185], dtype=np.float32)  # the greys of a screen


@dataclass(frozen=True)
class Renderer:
    """Draws scenes of given concepts by given artists; nothing is remembered between scenes.

    `turned` drawings lean or are mirrored; `repainted` ones change their colours, and some of
    their scenes are blurred. `painted` is the share of drawings that are painted in shades of one
    colour, which no name tells; `screened` scenes have a screen, behind which more could stand.
    """

    artists: tuple[str, ...]
    image_size: int  # pixels
    object_scale: float = 1.3
    turned: bool = False
    repainted: bool = False
    painted: float = 0.0
    screened: bool = False

    def scene(self, names: Sequence[str], *, random: np.random.Generator) -> Scene:
        """A scene of these concepts, each drawn by an artist drawn at random."""
        canvas = background(self.image_size, random)
        screen = self._screen(random) if self.screened else None
        if screen is not None:
            _draw_screen(canvas, screen)
        objects = []
        for name, artist, box, sprite in self._arrange(names, random, screen):
            colour = self._paint(name, random)
            paint = sprite[..., :3]
            if colour is not None:
                paint = painted(paint, colour=colour)
            elif self.repainted:
                paint = recolour(paint, random)
            lay(canvas, paint, sprite[..., 3:], box)
            seen = colour or (None if self.repainted else colour_word(artist, name))
            objects.append(Placed(name, artist, box, seen, painted=colour is not None))
        image = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        if self.repainted and random.random() < 0.25:
            image = _blur(image, radius=random.uniform(0.3, 0.9))
        return Scene(image, tuple(objects), screen)

    def _paint(self, name: str, random: np.random.Generator) -> str | None:
        """The colour to paint a drawing in, or None for its own; no apple is red and green."""
        if not self.painted or COLOURS & set(name.split()) or random.random() >= self.painted:
            return None
        return str(random.choice(list(PAINTS)))

    def _screen(self, random: np.random.Generator) -> Box:
        least, most = SCREEN
        width, height = np.rint(random.uniform(least, most, 2) * self.image_size).astype(int)
        x = int(random.integers(self.image_size - width + 1))
        y = int(random.integers(self.image_size - height + 1))
        return Box(x, y, x + int(width), y + int(height))

    def _arrange(
        self, names: Sequence[str], random: np.random.Generator, screen: Box | None
    ) -> list[tuple[str, str, Box, Pixels]]:
        """Draw shapes and places until no two boxes share more than they may, screens included."""
        kept = [] if screen is None else [screen]
        shrink = 1.0
        while True:
            places: list[tuple[str, str, Box, Pixels]] = []
            for name in names:
                artist, sprite = self.sprite(name, shrink, random)
                box = self._place(sprite, [*kept, *(place[2] for place in places)], random)
                if box is None:
                    break
                places.append((name, artist, box, sprite))
            if len(places) == len(names):
                return places
            shrink *= 0.92

    def sprite(self, name: str, shrink: float, random: np.random.Generator) -> tuple[str, Pixels]:
        """An artist drawn at random, and the drawing, straight RGBA [height, width, 4]."""
        artists = artists_with(name, self.artists)
        artist = artists[int(random.integers(len(artists)))]
        side = SIDES[int(random.integers(len(SIDES)))] * self.object_scale
        pixels = max(4, round(min(side, LARGEST) * shrink * self.image_size))
        degrees = TURNS[int(random.integers(len(TURNS)))] if self.turned else 0
        sprite = shape(artist, name, side=pixels, degrees=degrees)
        if self.turned and random.random() < 0.5 and name not in NEVER_FLIPPED:
            sprite = sprite[:, ::-1]
        return artist, sprite

    def _place(
        self, sprite: Pixels, taken: Sequence[Box], random: np.random.Generator
    ) -> Box | None:
        height, width = sprite.shape[:2]
        for _ in range(TRIES):
            x = int(random.integers(max(1, self.image_size - width + 1)))
            y = int(random.integers(max(1, self.image_size - height + 1)))
            box = Box(x, y, x + width, y + height)
            if all(box.shared(other) <= MAX_SHARED for other in taken):
                return box
        return None


def lay(canvas: Canvas, paint: Pixels, alpha: Pixels, box: Box) -> None:
    """Lay RGB paint over the canvas where `alpha` [height, width, 1], of 255, says."""
    region = canvas[box.y0 : box.y1, box.x0 : box.x1]
    region += (paint - region) * (alpha.astype(np.float32) / 255)


def _draw_screen(canvas: Canvas, screen: Box) -> None:
    """Diagonal stripes of two greys."""
    width = max(2, canvas.shape[0] // 24)
    rows, columns = np.mgrid[screen.y0 : screen.y1, screen.x0 : screen.x1]
    stripes = STRIPES[(rows + columns) // width % 2]
    canvas[screen.y0 : screen.y1, screen.x0 : screen.x1] = stripes[..., None]


def background(size: int, random: np.random.Generator) -> Canvas:
    """RGB [size, size, 3] in 0..255: plain (40%), a gradient (35%) or noise (25%)."""
    colour = random.uniform(0, 255, 3).astype(np.float32)
    kind = random.random()
    if kind < 0.4:
        return np.broadcast_to(colour, (size, size, 3)).copy()
    if kind < 0.75:
        other = random.uniform(0, 255, 3).astype(np.float32)
        angle = random.uniform(0, 2 * np.pi)
        steps = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        along = steps * np.float32(np.cos(angle)) + steps[:, None] * np.float32(np.sin(angle))
        share = np.clip(along + np.float32(0.5), 0, 1)
        canvas = np.empty((size, size, 3), dtype=np.float32)
        for channel in range(3):  # numpy is slow at broadcasting over three channels
            canvas[..., channel] = colour[channel] + share * (other - colour)[channel]
        return canvas
    cells = min(size, GRAINS[int(random.integers(len(GRAINS)))])
    grains = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    coarse = Image.fromarray(grains)
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BILINEAR)).astype(np.float32)
    return np.clip(colour + (smooth - 127.5) * np.float32(random.uniform(0.2, 0.8)), 0, 255)


def _blur(image: Pixels, *, radius: float) -> Pixels:
    blurred = Image.fromarray(image).filter(ImageFilter.BoxBlur(radius))
    return np.array(blurred)
