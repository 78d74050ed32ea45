"""Phrases that exactly one object of a scene fits, with its box."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mplug.data.scenes.facts import (
    any_furthest,
    any_only_one,
    clear_relations,
    clearly_named,
    in_order,
    one_of,
)
from mplug.data.scenes.phrases import the
from mplug.data.scenes.scene import Box, Scene

PhraseKind = Literal["name", "relation", "furthest", "thing"]

# "the dog", "the dog left of the cat", "the leftmost thing", "the thing left of the cat"
SHARES: dict[PhraseKind, float] = {"name": 0.4, "relation": 0.2, "furthest": 0.2, "thing": 0.2}


@dataclass(frozen=True)
class Phrase:
    """A phrase, and the box of the one object that it fits."""

    kind: PhraseKind
    text: str
    box: Box


def phrases(scene: Scene, *, random: np.random.Generator, count: int = 1) -> list[Phrase]:
    """At most `count` phrases about a scene, none twice; none where no name is clear."""
    found: dict[str, Phrase] = {}
    for _ in range(count):
        for kind in in_order(SHARES, random):
            phrase = _MAKERS[kind](scene, random)
            if phrase is not None:
                found.setdefault(phrase.text, phrase)
                break
    return list(found.values())


def _name(scene: Scene, random: np.random.Generator) -> Phrase | None:
    named = clearly_named(scene)
    if not named:
        return None
    placed = one_of(named, random)
    return Phrase("name", the(placed.name), placed.box)


def _relation(scene: Scene, random: np.random.Generator) -> Phrase | None:
    clear = clear_relations(scene)
    if not clear:
        return None
    first, direction, second = one_of(clear, random)
    return Phrase("relation", f"{the(first.name)} {direction} {the(second.name)}", first.box)


def _furthest(scene: Scene, random: np.random.Generator) -> Phrase | None:
    found = any_furthest(scene, random)
    return None if found is None else Phrase("furthest", f"the {found[0]} thing", found[1].box)


def _thing(scene: Scene, random: np.random.Generator) -> Phrase | None:
    found = any_only_one(scene, random)
    return None if found is None else Phrase("thing", f"the thing {found[0]}", found[1].box)


_MAKERS: dict[PhraseKind, Callable[[Scene, np.random.Generator], Phrase | None]] = {
    "name": _name,
    "relation": _relation,
    "furthest": _furthest,
    "thing": _thing,
}
