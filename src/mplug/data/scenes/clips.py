"""Short clips over a still background: a drawing moves, comes or goes, alone or beside another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, NamedTuple, get_args

import numpy as np

from mplug.data.scenes.facts import absent_from, one_of
from mplug.data.scenes.phrases import listed, the, verb, with_article
from mplug.data.scenes.render import Renderer, background, lay
from mplug.data.scenes.scene import Box
from mplug.data.scenes.sprites import recolour
from mplug.data.scenes.world import Pixels, World

Way = Literal["left", "right", "up", "down"]
Motion = Literal["moves", "towards", "away", "appears", "disappears"]
ClipKind = Literal["what is there", "how many", "yes/no", "what moves", "which way", "towards"]

WAYS: tuple[Way, ...] = get_args(Way)
BACK: dict[Way, Way] = {"left": "right", "right": "left", "up": "down", "down": "up"}
ALONE: tuple[Motion, ...] = ("moves", "appears", "disappears")
FRAMES = 16
SMALLER = 0.65  # than in a scene: things that move need room
TRAVEL = (0.3, 0.45)  # of the picture's side
GAP = 0.03  # between two things that meet
SLACK = 0.08  # how far off its way a thing stands that another moves towards
TRIES = 20  # layouts, before the drawings are made smaller
IMAGE_KINDS: tuple[ClipKind, ...] = ("what is there", "how many", "yes/no")  # a frame answers them


@dataclass(frozen=True)
class ClipQuestion:
    """A question about a clip with its one answer."""

    kind: ClipKind
    text: str
    answer: str


@dataclass(frozen=True)
class Clip:
    """Frames [frames, size, size, 3], what moves and what else is there."""

    frames: Pixels
    names: tuple[str, ...]  # what moves comes first
    motion: Motion
    way: Way | None  # None where nothing moves
    boxes: tuple[tuple[Box, ...], ...]  # of each of `names`, frame by frame
    seen: tuple[bool, ...]  # whether what appears or disappears is there, frame by frame

    @property
    def caption(self) -> str:
        """What happens."""
        mover, *others = self.names
        happens = {
            "moves": f"{_does(mover, 'move')} {self.way}",
            "towards": f"{_does(mover, 'move')} towards",
            "away": f"{_does(mover, 'move')} away from",
            "appears": _does(mover, "appear"),
            "disappears": _does(mover, "disappear"),
        }[self.motion]
        text = f"{with_article(mover)} {happens}"
        if not others:
            return text
        (other,) = others
        if self.motion in ("towards", "away"):
            return f"{text} {with_article(other)}"
        return f"{text} and {with_article(other)} {_does(other, 'stay')}"

    @property
    def captions(self) -> tuple[str, ...]:
        """Every caption: what happens, then lists of what is there."""
        orders = permutations([with_article(name) for name in self.names])
        return (self.caption, *(listed(order) for order in orders))


def draw_clip(
    names: Sequence[str],
    *,
    renderer: Renderer,
    random: np.random.Generator,
    frames: int = FRAMES,
) -> Clip:
    """A clip of one or two things, drawn as `renderer` draws them; the first one moves."""
    motions = ALONE if len(names) == 1 else get_args(Motion)
    motion: Motion = one_of(motions, random)
    way = one_of(WAYS, random)
    layout, sprites = _lay_out(names, motion, way, renderer, random)
    paints = [sprite[..., :3] for sprite in sprites]
    if renderer.repainted:
        paints = [recolour(paint, random) for paint in paints]
    still = background(renderer.image_size, random)
    boxes = tuple(
        tuple(_between(start, end, number / (frames - 1)) for number in range(frames))
        for start, end in layout
    )
    change = int(random.integers(frames // 4, frames - frames // 4))
    seen = tuple(_is_seen(motion, number, change) for number in range(frames))
    images = []
    for number in range(frames):
        canvas = still.copy()
        for place, (paint, sprite) in enumerate(zip(paints, sprites, strict=True)):
            if place or seen[number]:
                lay(canvas, paint, sprite[..., 3:], boxes[place][number])
        images.append(np.clip(canvas + 0.5, 0, 255).astype(np.uint8))
    moving = motion in ("moves", "towards", "away")
    return Clip(np.stack(images), tuple(names), motion, way if moving else None, boxes, seen)


def clip_questions(
    clip: Clip, *, random: np.random.Generator, world: World, count: int = 1, train: bool = True
) -> list[ClipQuestion]:
    """At most `count` questions about a clip, each of another kind, whose texts tell nothing."""
    asked = list(_questions(clip, random, world, train=train))
    return [asked[place] for place in random.permutation(len(asked))[:count]]


def _questions(
    clip: Clip, random: np.random.Generator, world: World, *, train: bool
) -> Iterator[ClipQuestion]:
    mover = clip.names[0]
    # Scenes of one thing are half as common as those of two, and neither number is to be likelier.
    if len(clip.names) == 1 or random.random() < 0.5:
        yield ClipQuestion("how many", "how many things are there?", str(len(clip.names)))
    if len(clip.names) == 1:
        yield ClipQuestion("what is there", "what is in the picture?", mover)
    missing = absent_from(clip.names, world=world, random=random, train=train)
    if missing is not None:
        shown = random.random() < 0.5
        name = one_of(clip.names, random) if shown else missing
        text = f"{verb(name)} there {with_article(name)}?"
        yield ClipQuestion("yes/no", text, "yes" if shown else "no")
    if clip.way is None:
        yield ClipQuestion("what moves", f"what {clip.motion}?", mover)
        return
    yield ClipQuestion("what moves", "what moves?", mover)
    yield ClipQuestion("which way", f"which way {_do(mover)} {the(mover)} move?", clip.way)
    if clip.motion in ("towards", "away"):
        text = f"{_do(mover)} {the(mover)} move towards {the(clip.names[1])}?"
        yield ClipQuestion("towards", text, "yes" if clip.motion == "towards" else "no")


def _does(name: str, word: str) -> str:
    """ "moves", or "move" after a name of several."""
    return word if verb(name) == "are" else f"{word}s"


def _do(name: str) -> str:
    return "do" if verb(name) == "are" else "does"


def _is_seen(motion: Motion, number: int, change: int) -> bool:
    if motion == "appears":
        return number >= change
    return motion != "disappears" or number < change


class _Path(NamedTuple):
    """Where a thing is at the beginning and at the end."""

    start: Box
    end: Box


def _lay_out(
    names: Sequence[str],
    motion: Motion,
    way: Way,
    renderer: Renderer,
    random: np.random.Generator,
) -> tuple[list[_Path], list[Pixels]]:
    """Paths on which nothing meets, drawn until they fit."""
    size, shrink = renderer.image_size, SMALLER
    # To move away is to move towards, backwards.
    towards = BACK[way] if motion == "away" else way
    while True:
        sprites = [renderer.sprite(name, shrink, random)[1] for name in names]
        extents = [_turned(sprite.shape[1], sprite.shape[0], way) for sprite in sprites]
        for _ in range(TRIES):
            paths = _paths(extents, motion, size, random)
            if paths is not None:
                placed = [_Path(*(_place(box, towards, size) for box in path)) for path in paths]
                if motion == "away":
                    placed[0] = _Path(placed[0].end, placed[0].start)
                return placed, sprites
        shrink *= 0.92


def _paths(
    extents: Sequence[tuple[int, int]], motion: Motion, size: int, random: np.random.Generator
) -> list[_Path] | None:
    """Paths of things of these extents along and across the way, which leads to the right."""
    (length, width), *others = extents
    travel = 0
    if motion not in ("appears", "disappears"):
        travel = round(random.uniform(*TRAVEL) * size)
    swept = length + travel
    if swept > size:
        return None
    x, y = (int(random.integers(size - extent + 1)) for extent in (swept, width))
    mover = _Path(Box(x, y, x + length, y + width), Box(x + travel, y, x + swept, y + width))
    if not others:
        return [mover]
    (other_length, other_width) = others[0]
    if motion in ("towards", "away"):
        left = x + swept + round(GAP * size)
        slack = random.uniform(-SLACK, SLACK) * size
        top = min(max(0, round(y + (width - other_width) / 2 + slack)), size - other_width)
    else:
        left, top = (int(random.integers(size - extent + 1)) for extent in others[0])
    still = Box(left, top, left + other_length, top + other_width)
    if still.x1 > size or still.shared(Box(x, y, x + swept, y + width)) > 0:
        return None
    return [mover, _Path(still, still)]


def _turned(width: int, height: int, way: Way) -> tuple[int, int]:
    """Extents along and across a way."""
    return (width, height) if way in ("left", "right") else (height, width)


def _place(box: Box, way: Way, size: int) -> Box:
    """A box of a way that leads to the right, where the way leads elsewhere."""
    if way in ("left", "up"):
        box = Box(size - box.x1, box.y0, size - box.x0, box.y1)
    return box if way in ("left", "right") else Box(box.y0, box.x0, box.y1, box.x1)


def _between(start: Box, end: Box, share: float) -> Box:
    right, down = round(share * (end.x0 - start.x0)), round(share * (end.y0 - start.y0))
    return Box(start.x0 + right, start.y0 + down, start.x1 + right, start.y1 + down)
