"""What is surely so in a scene: who stands where, what is not there, and which names are clear."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Literal, TypeVar

import numpy as np

from mplug.data.scenes.phrases import the
from mplug.data.scenes.scene import CLEAR, LEAST_DISTANCE, OPPOSITE, Direction, Placed, Scene
from mplug.data.scenes.world import World

T = TypeVar("T")
Place = Literal["left", "right", "top", "bottom", "middle"]

DIRECTIONS: tuple[Direction, ...] = tuple(OPPOSITE)
# Which end of the picture an object lies nearest to, and what the furthest one is called.
FURTHEST: dict[Direction, str] = {
    "left of": "leftmost",
    "right of": "rightmost",
    "above": "topmost",
    "below": "bottommost",
}
OFF_MIDDLE = 8 / 96  # of the side: this far from the middle an object lies to one side of it
IN_MIDDLE = 4 / 96  # and this near it lies in the middle
TRIES = 60
# Names that also fit drawings of other concepts, where no word of one is in the other.
ALSO: dict[str, frozenset[str]] = {
    "bear": frozenset({"koala", "panda"}),
    "bird": frozenset({"chick", "duck", "eagle", "owl", "penguin", "rooster", "turkey", "bat"}),
    "bouquet": frozenset({"rose", "tulip", "hibiscus", "sunflower"}),
    "bread": frozenset({"baguette", "croissant", "hamburger", "hot dog"}),
    "candle": frozenset({"birthday cake", "lantern"}),
    "car": frozenset({"taxi", "ambulance"}),
    "chick": frozenset({"rooster", "turkey"}),
    "cloud": frozenset({"tornado", "rainbow"}),
    "coffee cup": frozenset({"beer mug"}),
    "door": frozenset({"house", "castle", "church", "factory"}),
    "fire": frozenset({"candle", "volcano"}),
    "flashlight": frozenset({"lantern"}),
    "football": frozenset({"soccer ball"}),
    "glasses": frozenset({"sunglasses"}),
    "horn": frozenset({"trumpet", "saxophone", "megaphone"}),
    "horse": frozenset({"unicorn"}),
    "house": frozenset({"castle", "church"}),
    "melon": frozenset({"watermelon"}),
    "monkey": frozenset({"gorilla"}),
    "motorcycle": frozenset({"scooter"}),
    "noodles": frozenset({"spaghetti"}),
    "package": frozenset({"gift"}),
    "palm tree": frozenset({"island"}),
    "ribbon": frozenset({"gift", "medal", "bouquet"}),
    "ring": frozenset({"diamond"}),
    "shell": frozenset({"snail", "turtle"}),
    "ship": frozenset({"sailboat", "canoe"}),
    "star": frozenset({"christmas tree"}),
    "tree": frozenset({"island"}),
    "truck": frozenset({"ambulance", "fire engine"}),
    "whale": frozenset({"dolphin"}),
}


def one_of(options: Sequence[T], random: np.random.Generator) -> T:
    """One of them, each as likely."""
    return options[int(random.integers(len(options)))]


def in_order(weights: Mapping[T, float], random: np.random.Generator) -> list[T]:
    """All of them, drawn one after another: those of larger weight tend to come first."""
    waits = random.exponential(size=len(weights)) / np.array(list(weights.values()))
    options = list(weights)
    return [options[place] for place in waits.argsort()]


def alike(one: str, other: str) -> bool:
    """Whether either name may also be said of a drawing of the other: "tree", "palm tree"."""
    if one in ALSO.get(other, ()) or other in ALSO.get(one, ()):
        return True
    first, second = set(one.split()), set(other.split())
    return first <= second or second <= first


def clearly_named(scene: Scene) -> tuple[Placed, ...]:
    """The objects whose names fit nothing else in the scene."""
    return tuple(
        each
        for each in scene.objects
        if not any(alike(each.name, other.name) for other in scene.objects if other is not each)
    )


def absent(
    scenes: Sequence[Scene], *, world: World, random: np.random.Generator, train: bool
) -> str | None:
    """A name that fits nothing in these scenes, drawn evenly; None where hardly any does.

    In training no name is drawn that the scene's names may not meet: of a held-out pair the one
    would always be said to be missing where the other is.
    """
    names = [name for scene in scenes for name in scene.names]
    return absent_from(names, world=world, random=random, train=train)


def absent_from(
    names: Sequence[str], *, world: World, random: np.random.Generator, train: bool
) -> str | None:
    """A name that fits none of the things of these names, drawn as `absent` draws it."""
    for _ in range(TRIES):
        name = world.names[int(random.integers(len(world.names)))]
        if is_absent(name, names, world=world, train=train):
            return name
    return None


def is_absent(name: str, names: Sequence[str], *, world: World, train: bool) -> bool:
    """Whether `name` fits none of the things of these names, and training may say so."""
    if any(alike(name, each) for each in names):
        return False
    return not train or not any(frozenset((name, each)) in world.held_out for each in names)


def place_of(scene: Scene, placed: Placed) -> Place | None:
    """Where in the picture an object lies; None where one word does not say it."""
    height, width = scene.image.shape[:2]
    box = placed.box
    right = (box.x0 + box.x1) / (2 * width) - 0.5
    down = (box.y0 + box.y1) / (2 * height) - 0.5
    shorter, longer = sorted((abs(right), abs(down)))
    if longer <= IN_MIDDLE:
        return "middle"
    if longer < OFF_MIDDLE or longer < CLEAR * shorter:
        return None
    if abs(right) > abs(down):
        return "left" if right < 0 else "right"
    return "top" if down < 0 else "bottom"


def furthest(scene: Scene, direction: Direction) -> Placed | None:
    """The object furthest that way, ahead of all others by a clear distance; None without one."""
    if len(scene.objects) < 2:
        return None
    first, second = sorted(scene.objects, key=lambda each: -_along(direction, each, scene))[:2]
    ahead = _along(direction, first, scene) - _along(direction, second, scene)
    return first if ahead >= LEAST_DISTANCE else None


def any_furthest(scene: Scene, random: np.random.Generator) -> tuple[str, Placed] | None:
    """An object that lies furthest some way, with the word for it: "leftmost"."""
    for place in random.permutation(len(DIRECTIONS)):
        found = furthest(scene, DIRECTIONS[place])
        if found is not None:
            return FURTHEST[DIRECTIONS[place]], found
    return None


def clear_relations(scene: Scene) -> list[tuple[Placed, Direction, Placed]]:
    """Every ordered pair of clearly named objects that stands in a clear relation."""
    named = clearly_named(scene)
    return [
        (first, direction, second)
        for first, second in permutations(named, 2)
        if (direction := scene.direction(first, second)) is not None
        and scene.is_clear(first, second)
    ]


def any_only_one(scene: Scene, random: np.random.Generator) -> tuple[str, Placed] | None:
    """An object, with what only it is: "left of the dog"."""
    related = [
        (each, direction, second)
        for second in clearly_named(scene)
        for direction in DIRECTIONS
        if (each := only_one(scene, direction, second)) is not None
    ]
    if not related:
        return None
    each, direction, second = one_of(related, random)
    return f"{direction} {the(second.name)}", each


def only_one(scene: Scene, direction: Direction, second: Placed) -> Placed | None:
    """The one object that stands `direction` of `second`; None where others may be said to."""
    there = [
        each
        for each in scene.objects
        if each is not second and _ahead(scene, direction, each, second) >= LEAST_DISTANCE / 2
    ]
    if len(there) != 1 or scene.direction(there[0], second) != direction:
        return None
    return there[0] if scene.is_clear(there[0], second) else None


def _ahead(scene: Scene, direction: Direction, first: Placed, second: Placed) -> float:
    return _along(direction, first, scene) - _along(direction, second, scene)


def _along(direction: Direction, placed: Placed, scene: Scene) -> float:
    """How far an object lies that way, in shares of the picture's side."""
    height, width = scene.image.shape[:2]
    right = (placed.box.x0 + placed.box.x1) / (2 * width)
    down = (placed.box.y0 + placed.box.y1) / (2 * height)
    return {"left of": -right, "right of": right, "above": -down, "below": down}[direction]
