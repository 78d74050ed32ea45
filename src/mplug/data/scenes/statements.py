"""Statements about two scenes, true or false, and hypotheses about one, whose texts tell nothing.

A hypothesis is neutral where a screen could hide what it speaks of: "there is a dog" is entailed
by a picture with a dog, contradicted by one without, and neutral where no dog is seen but a screen
stands. So every text stands with every label, and only the picture tells them apart.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from mplug.data.scenes.facts import absent, clear_relations, clearly_named, is_absent, one_of
from mplug.data.scenes.phrases import the, verb, with_article
from mplug.data.scenes.scene import CLEAR, LEAST_DISTANCE, OPPOSITE, Box, Direction, Placed, Scene
from mplug.data.scenes.world import World

Template = Literal["both", "only one", "one side", "neither", "more", "relation"]
Entailment = Literal["entailment", "neutral", "contradiction"]

NEUTRAL_SHARE = 2 / 3  # of the hypotheses about a picture with a screen; the rest is entailed
RELATION_SHARE = 0.4  # of the hypotheses, where one about a relation could be any it may be


@dataclass(frozen=True)
class Statement:
    """What is said of two pictures, and whether it is true."""

    template: Template
    text: str
    label: bool


@dataclass(frozen=True)
class Hypothesis:
    """What is said of one picture, and what the picture says to that."""

    text: str
    label: Entailment
    relation: bool = False  # whether it says where something stands


class _Pair(NamedTuple):
    """Two scenes side by side, with what draws statements about them."""

    left: Scene
    right: Scene
    random: np.random.Generator
    world: World
    train: bool

    def sides(self) -> tuple[tuple[str, Scene, Scene], tuple[str, Scene, Scene]]:
        """Each side's word, its scene and the other one."""
        return ("left", self.left, self.right), ("right", self.right, self.left)


class _Both(NamedTuple):
    """A statement that is true and one that is false, of one and the same template."""

    true: str
    false: str


def statements(
    left: Scene,
    right: Scene,
    *,
    random: np.random.Generator,
    world: World,
    count: int = 1,
    train: bool = True,
) -> list[Statement]:
    """At most `count` statements about two scenes without screens, none twice.

    A template is used only where it could say something true and something false, and then either
    is as likely: no template tells its label.
    """
    pair = _Pair(left, right, random, world, train)
    found: dict[str, Statement] = {}
    templates = list(_MAKERS)
    for place in random.permutation(len(templates)):
        if len(found) == count:
            break
        said = _MAKERS[templates[place]](pair)
        if said is not None:
            label = bool(random.random() < 0.5)
            text = said.true if label else said.false
            found.setdefault(text, Statement(templates[place], text, label))
    return list(found.values())


def couples(scenes: Sequence[Scene], *, random: np.random.Generator) -> Iterator[tuple[int, int]]:
    """The place of each scene with that of another; every other pair shares a name if it can."""
    showing: dict[str, list[int]] = defaultdict(list)
    for place, scene in enumerate(scenes):
        for name in scene.names:
            showing[name].append(place)
    for first, scene in enumerate(scenes):
        near = [place for name in scene.names for place in showing[name] if place != first]
        if near and random.random() < 0.5:
            yield first, one_of(near, random)
        elif len(scenes) > 1:
            yield first, (first + int(random.integers(1, len(scenes)))) % len(scenes)


def _shared_and_not(pair: _Pair) -> tuple[str, str] | None:
    """A name that both scenes show, and one that only one does."""
    left, right = set(pair.left.names), set(pair.right.names)
    shared = sorted(left & right)
    lone = [
        name
        for _, here, there in pair.sides()
        for name in here.names
        if is_absent(name, there.names, world=pair.world, train=pair.train)
    ]
    if not shared or not lone:
        return None
    return one_of(shared, pair.random), one_of(lone, pair.random)


def _both(pair: _Pair) -> _Both | None:
    names = _shared_and_not(pair)
    if names is None:
        return None
    return _Both(*(f"both pictures show {with_article(name)}" for name in names))


def _only_one(pair: _Pair) -> _Both | None:
    names = _shared_and_not(pair)
    if names is None:
        return None
    shared, lone = (f"only one picture shows {with_article(name)}" for name in names)
    return _Both(true=lone, false=shared)


def _one_side(pair: _Pair) -> _Both | None:
    side, here, there = one_of(pair.sides(), pair.random)
    others = [
        n for n in there.names if is_absent(n, here.names, world=pair.world, train=pair.train)
    ]
    missing = one_of(others, pair.random) if others else None
    if missing is None or pair.random.random() < 0.5:
        missing = absent([here], world=pair.world, random=pair.random, train=pair.train)
    if missing is None:
        return None
    shown = one_of(here.names, pair.random)
    return _Both(*(f"the {side} picture shows {with_article(name)}" for name in (shown, missing)))


def _neither(pair: _Pair) -> _Both | None:
    scenes = (pair.left, pair.right)
    missing = absent(scenes, world=pair.world, random=pair.random, train=pair.train)
    if missing is None:
        return None
    shown = one_of([*pair.left.names, *pair.right.names], pair.random)
    return _Both(*(f"neither picture shows {with_article(name)}" for name in (missing, shown)))


def _more(pair: _Pair) -> _Both | None:
    left, right = len(pair.left.objects), len(pair.right.objects)
    if left == right:
        return None
    more, fewer = ("left", "right") if left > right else ("right", "left")
    return _Both(*(f"the {side} picture shows more things" for side in (more, fewer)))


def _relation(pair: _Pair) -> _Both | None:
    side, here, _ = one_of(pair.sides(), pair.random)
    clear = clear_relations(here)
    if not clear:
        return None
    first, direction, second = one_of(clear, pair.random)
    subject = f"{the(first.name)} {verb(first.name)}"
    return _Both(
        *(
            f"{subject} {said} {the(second.name)} in the {side} picture"
            for said in (direction, OPPOSITE[direction])
        )
    )


_MAKERS: dict[Template, Callable[[_Pair], _Both | None]] = {
    "both": _both,
    "only one": _only_one,
    "one side": _one_side,
    "neither": _neither,
    "more": _more,
    "relation": _relation,
}


def hypothesis(
    scene: Scene, *, random: np.random.Generator, world: World, train: bool = True
) -> Hypothesis | None:
    """A hypothesis about a scene: entailed, or neutral with a screen and contradicted without.

    Where half of the scenes have a screen, each label is as common, and of each text.
    """
    entailed = random.random() >= NEUTRAL_SHARE
    if random.random() < RELATION_SHARE:
        texts = _standing(scene, random, world, train=train)
        if texts is not None:
            return Hypothesis(texts[0 if entailed else 1], _label(scene, entailed), relation=True)
    missing = absent([scene], world=world, random=random, train=train)
    if missing is None:
        return None
    name = one_of(scene.names, random) if entailed else missing
    return Hypothesis(f"there {verb(name)} {with_article(name)}", _label(scene, entailed))


def _label(scene: Scene, entailed: bool) -> Entailment:
    if entailed:
        return "entailment"
    return "contradiction" if scene.screen is None else "neutral"


def _standing(
    scene: Scene, random: np.random.Generator, world: World, *, train: bool
) -> tuple[str, str] | None:
    """What surely stands where; and what does not, or might if it were behind the screen."""
    clear = clear_relations(scene)
    if not clear:
        return None
    first, direction, second = one_of(clear, random)
    held = _sentence(first.name, direction, second.name)
    if scene.screen is None:
        first, direction, second = one_of(clear, random)
        return held, _sentence(first.name, OPPOSITE[direction], second.name)
    hidden = absent([scene], world=world, random=random, train=train)
    behind = [
        (towards, each)
        for each in clearly_named(scene)
        if (towards := _screen_stands(scene, scene.screen, each)) is not None
    ]
    if hidden is None or not behind:
        return None
    towards, other = one_of(behind, random)
    return held, _sentence(hidden, towards, other.name)


def _sentence(first: str, direction: Direction, second: str) -> str:
    return f"there {verb(first)} {with_article(first)} {direction} {the(second)}"


def _screen_stands(scene: Scene, screen: Box, placed: Placed) -> Direction | None:
    """Where the whole screen stands, seen from an object: what it hides must stand there too."""
    right, down = scene.offset(screen, placed.box)
    shorter, longer = sorted((abs(right), abs(down)))
    if longer < LEAST_DISTANCE or longer < CLEAR * shorter:
        return None
    if abs(right) > abs(down):
        return "left of" if right < 0 else "right of"
    return "above" if down < 0 else "below"
