"""Captions of scenes, and what a caption claims: the names and the relation it states."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np

from mplug.data.scenes.scene import OPPOSITE, Direction, Placed, Scene
from mplug.data.scenes.world import all_concepts

OPENINGS = ("", "there is ", "a picture of ")
COLOURS = frozenset(
    ["black", "white", "grey", "red", "yellow", "green", "blue", "purple", "brown", "orange"]
)
CONSONANT_SOUND = ("uni", "uku", "eu", "one ")
RELATION = re.compile(r"(?<!\w)(left of|right of|above|below|beside)(?!\w)")


@dataclass(frozen=True)
class Wording:
    """How often captions use what they need not use."""

    colour_share: float = 0.0  # of the objects that have one colour, how many are said to have it
    beside_share: float = 0.0  # of the relations left or right at one height, how many say "beside"
    list_share: float = 0.1  # of the scenes whose relation is clear, how many only list


PLAIN = Wording()


class Statement(NamedTuple):
    """What a caption claims: `subject` stands `relation` each of `others`."""

    subject: str
    relation: str
    others: tuple[str, ...]


def with_article(name: str) -> str:
    """The name with "a", "an" or "some"; a leading colour word is looked through for "some"."""
    plural = name in _uncountable() or name.partition(" ")[2] in _uncountable()
    if plural and (name in _uncountable() or name.partition(" ")[0] in COLOURS):
        return f"some {name}"
    vowel = name[0] in "aeiou" and not name.startswith(CONSONANT_SOUND)
    return f"{'an' if vowel else 'a'} {name}"


def the(name: str) -> str:
    """The name as one that is known: "the dog"."""
    return f"the {name}"


def verb(name: str) -> str:
    """`are` for several, as in "the grapes are", else `is`."""
    return "are" if name in _uncountable() and name.endswith("s") else "is"


def caption(scene: Scene, *, random: np.random.Generator, wording: Wording = PLAIN) -> str:
    """One caption, exactly true: names, and a relation where one is clear.

    A scene of three or four says that one object stands in the same relation to all the others,
    where that is so; else it lists them.
    """
    names = {
        each: with_article(_coloured(each, random, wording.colour_share)) for each in scene.objects
    }
    stated = list(_shared_relations(scene))
    opening = OPENINGS[int(random.integers(len(OPENINGS)))]
    if not stated or (len(scene.objects) > 1 and random.random() < wording.list_share):
        order = [scene.objects[place] for place in random.permutation(len(scene.objects))]
        return opening + listed([names[each] for each in order])
    subject, direction, others = stated[int(random.integers(len(stated)))]
    relation: str = direction
    if all(scene.beside(subject, other) for other in others) and (
        random.random() < wording.beside_share
    ):
        relation = "beside"
    others = [others[place] for place in random.permutation(len(others))]
    return f"{opening}{names[subject]} {relation} {listed([names[each] for each in others])}"


def captions(scene: Scene) -> tuple[str, ...]:
    """Every plain caption of a scene: each opening, each clear relation, or each order of a list.

    The first is the one to search with: no opening, and the most telling statement.
    """
    names = {each: with_article(each.name) for each in scene.objects}
    bodies = [
        f"{names[subject]} {direction} {listed([names[each] for each in order])}"
        for subject, direction, others in _shared_relations(scene)
        for order in permutations(others)
    ] or [listed([names[each] for each in order]) for order in permutations(scene.objects)]
    return tuple(opening + body for opening in OPENINGS for body in bodies)


def in_words(scene: Scene) -> str:
    """What a scene shows, for those who cannot see it."""
    things = listed([with_article(name) for name in scene.names])
    return things if scene.screen is None else f"{things}; a screen stands before the background"


def concept_names(text: str, names: Collection[str]) -> list[str]:
    """The known names that stand in `text`, in order; the longest wins ("hot dog" is no "dog")."""
    return [found.group() for found in _matcher(tuple(names)).finditer(text.lower())]


def without_names(text: str) -> str:
    """The text with "_" for every name that drawings of any world can have."""
    return _matcher(_known_names()).sub("_", text.lower())


def statement(text: str, names: Collection[str]) -> Statement | None:
    """The relation a caption states between known names, or None where it states none."""
    found = RELATION.search(text.lower())
    if found is None:
        return None
    before = concept_names(text[: found.start()], names)
    after = concept_names(text[found.end() :], names)
    if not before or not after:
        return None
    return Statement(before[-1], found.group(), tuple(after))


def relation_holds(text: str, scene: Scene) -> bool | None:
    """Whether the relation a caption states is true of the scene.

    None where it states none, or one between things that are not in the scene.
    """
    claim = statement(text, _known_names())
    objects = {each.name: each for each in scene.objects}
    if claim is None or not {claim.subject, *claim.others} <= set(objects):
        return None
    subject = objects[claim.subject]
    if claim.relation == "beside":
        return all(scene.beside(subject, objects[other]) for other in claim.others)
    return all(scene.direction(subject, objects[other]) == claim.relation for other in claim.others)


def reverse_relation(text: str) -> str | None:
    """The caption with its relation turned round, or None where it states none that can be."""
    found = RELATION.search(text)
    opposites: dict[str, str] = {str(one): other for one, other in OPPOSITE.items()}
    if found is None or found.group() not in opposites:
        return None
    return text[: found.start()] + opposites[found.group()] + text[found.end() :]


def _shared_relations(scene: Scene) -> Iterator[tuple[Placed, Direction, list[Placed]]]:
    """Each object that stands in one and the same clear relation to all the others."""
    for subject in scene.objects:
        others = [each for each in scene.objects if each is not subject]
        directions = {scene.direction(subject, other) for other in others}
        if len(directions) == 1 and all(scene.is_clear(subject, other) for other in others):
            (direction,) = directions
            if direction is not None:
                yield subject, direction, others


def _coloured(placed: Placed, random: np.random.Generator, share: float) -> str:
    named = placed.colour is None or COLOURS & set(placed.name.split())
    if named or random.random() >= share:
        return placed.name
    return f"{placed.colour} {placed.name}"


def listed(phrases: Sequence[str]) -> str:
    """ "a dog", "a dog and a cat", "a dog, a cat and a bell"."""
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last


@lru_cache(maxsize=1)
def _uncountable() -> frozenset[str]:
    return frozenset(each.name for each in all_concepts() if not each.countable)


@lru_cache(maxsize=1)
def _known_names() -> tuple[str, ...]:
    return tuple(each.name for each in all_concepts())


@lru_cache(maxsize=16)
def _matcher(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
