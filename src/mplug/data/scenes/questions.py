"""Questions about scenes, of six kinds, whose answers only the picture gives."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from mplug.data.scenes.facts import (
    absent,
    any_furthest,
    any_only_one,
    clear_relations,
    clearly_named,
    in_order,
    one_of,
    place_of,
)
from mplug.data.scenes.phrases import the, verb, with_article, without_names
from mplug.data.scenes.scene import OPPOSITE, Direction, Scene
from mplug.data.scenes.world import World
from mplug.errors import ConfigError

Kind = Literal["what", "where", "how many", "colour", "yes/no", "relation"]

KINDS: tuple[Kind, ...] = get_args(Kind)
HOW_MANY = "how many things are there?"
WHAT_ALONE = ("what is in the picture?", "what is this?")
# How often a question asks for the number of things: scenes of one are half as common as those of
# any other number, so asking twice as often about them makes all answers as common.
COUNT_SHARE = 0.14
# Weights of the other kinds, as far as a scene allows them.
WEIGHTS: dict[Kind, float] = {
    "what": 0.25,
    "where": 0.18,
    "colour": 0.36,
    "yes/no": 0.19,
    "relation": 0.25,
}
FURTHEST_SHARE = 0.4  # of the questions "what" about several things
SEEN_FROM: dict[Direction, str] = {
    "left of": "left",
    "right of": "right",
    "above": "above",
    "below": "below",
}
TRIES = 400  # draws for each question of a balanced list


@dataclass(frozen=True)
class Question:
    """A question with its one answer."""

    kind: Kind
    text: str
    answer: str


@dataclass(frozen=True)
class Asked:
    """A question, and the place of its scene in a gallery."""

    scene: int
    question: Question


def questions(
    scene: Scene,
    *,
    random: np.random.Generator,
    world: World,
    count: int = 1,
    train: bool = True,
    counted: bool = True,
) -> list[Question]:
    """At most `count` questions about a scene, none twice.

    Drawn so that no text tells its answer: absent things as present ones, false relations as true
    ones. `counted` says that scenes of this world differ in their number of things.
    """
    asked: dict[str, Question] = {}
    share = count * COUNT_SHARE * (2 if len(scene.objects) == 1 else 1)
    # Nobody knows how many things there are where a screen may hide some.
    if counted and scene.screen is None and random.random() < share:
        asked[HOW_MANY] = Question("how many", HOW_MANY, str(len(scene.objects)))
    for _ in range(count - len(asked)):
        for kind in in_order(WEIGHTS, random):
            question = ask(kind, scene, random=random, world=world, train=train)
            if question is not None:
                asked.setdefault(question.text, question)
                break
    return list(asked.values())


def ask(
    kind: Kind, scene: Scene, *, random: np.random.Generator, world: World, train: bool = False
) -> Question | None:
    """A question of one kind; None where the scene allows none that is clear."""
    if kind == "yes/no":
        return _is_there(scene, random, world, train=train)
    made = _MAKERS[kind](scene, random)
    return None if made is None else Question(kind, *made)


def _what(scene: Scene, random: np.random.Generator) -> tuple[str, str] | None:
    if scene.screen is not None:
        return None
    if len(scene.objects) == 1:
        return one_of(WHAT_ALONE, random), scene.objects[0].name
    if random.random() < FURTHEST_SHARE:
        furthest = any_furthest(scene, random)
        return None if furthest is None else (f"what is the {furthest[0]} thing?", furthest[1].name)
    related = any_only_one(scene, random)
    return None if related is None else (f"what is {related[0]}?", related[1].name)


def _where(scene: Scene, random: np.random.Generator) -> tuple[str, str] | None:
    placed = [(each, place_of(scene, each)) for each in clearly_named(scene)]
    clear = [(each, place) for each, place in placed if place is not None]
    if not clear:
        return None
    each, place = one_of(clear, random)
    return f"where {verb(each.name)} {the(each.name)}?", place


def _how_many(scene: Scene, random: np.random.Generator) -> tuple[str, str] | None:
    return None if scene.screen is not None else (HOW_MANY, str(len(scene.objects)))


def _colour(scene: Scene, random: np.random.Generator) -> tuple[str, str] | None:
    painted = [each for each in clearly_named(scene) if each.painted]
    if not painted:
        return None
    each = one_of(painted, random)
    return f"what colour {verb(each.name)} {the(each.name)}?", str(each.colour)


def _relation(scene: Scene, random: np.random.Generator) -> tuple[str, str] | None:
    clear = clear_relations(scene)
    if not clear:
        return None
    one, direction, other = one_of(clear, random)
    first, second = one.name, other.name
    if random.random() < 0.5:
        text = f"where {verb(first)} {the(first)}, seen from {the(second)}?"
        return text, SEEN_FROM[direction]
    holds = random.random() < 0.5
    said = direction if holds else OPPOSITE[direction]
    return f"{verb(first)} {the(first)} {said} {the(second)}?", "yes" if holds else "no"


def _is_there(
    scene: Scene, random: np.random.Generator, world: World, *, train: bool
) -> Question | None:
    if scene.screen is not None:
        return None
    present = one_of(scene.objects, random).name
    missing = absent([scene], world=world, random=random, train=train)
    if missing is None:
        return None
    name, answer = (present, "yes") if random.random() < 0.5 else (missing, "no")
    return Question("yes/no", f"{verb(name)} there {with_article(name)}?", answer)


_MAKERS: dict[Kind, Callable[[Scene, np.random.Generator], tuple[str, str] | None]] = {
    "what": _what,
    "where": _where,
    "how many": _how_many,
    "colour": _colour,
    "relation": _relation,
}


def balanced_questions(
    scenes: Sequence[Scene],
    *,
    count: int,
    random: np.random.Generator,
    world: World,
    train: bool = False,
) -> list[Asked]:
    """About `count` questions, as many of each kind; every text is asked of two scenes or more.

    As in VQA v2, questions come in pairs: one text, two scenes, two different answers.

    Raises:
        ConfigError: the scenes hardly allow such pairs.
    """
    kinds = possible_kinds(len(scene.objects) for scene in scenes)
    by_number: dict[int, list[int]] = defaultdict(list)
    for place, scene in enumerate(scenes):
        by_number[len(scene.objects)].append(place)
    asked: list[Asked] = []
    for number, kind in enumerate(kinds):
        wanted = count * (number + 1) // len(kinds) - count * number // len(kinds)
        # Each number of things is drawn as often, so that none is the likelier answer.
        groups = list(by_number.values()) if kind == "how many" else [list(range(len(scenes)))]
        drawing = _Drawing(scenes, groups, random, world, train)
        asked += _pairs(kind, drawing, wanted=wanted // 2)
    return [asked[place] for place in random.permutation(len(asked))]


def possible_kinds(numbers: Iterable[int]) -> tuple[Kind, ...]:
    """The kinds that can be asked of scenes with these numbers of objects."""
    different = set(numbers)
    left_out = {"how many"} if len(different) < 2 else set()
    if max(different) < 2:
        left_out.add("relation")
    return tuple(kind for kind in KINDS if kind not in left_out)


class _Drawing(NamedTuple):
    """What questions are drawn from."""

    scenes: Sequence[Scene]
    groups: Sequence[Sequence[int]]  # of the scenes' places, each drawn from as often
    random: np.random.Generator
    world: World
    train: bool

    def question(self, kind: Kind) -> Asked | None:
        """One of a kind, about a scene drawn at random."""
        place = one_of(one_of(self.groups, self.random), self.random)
        question = ask(
            kind, self.scenes[place], random=self.random, world=self.world, train=self.train
        )
        return None if question is None else Asked(place, question)


def _pairs(kind: Kind, drawing: _Drawing, *, wanted: int) -> list[Asked]:
    waiting: dict[str, dict[str, Asked]] = defaultdict(dict)  # text -> answer -> question
    used: set[tuple[int, str]] = set()
    found: list[Asked] = []
    for _ in range(TRIES * (wanted + 1)):
        if len(found) >= 2 * wanted:
            return found
        drawn = drawing.question(kind)
        if drawn is None or (drawn.scene, drawn.question.text) in used:
            continue
        used.add((drawn.scene, drawn.question.text))
        others = waiting[drawn.question.text]
        partner = next((answer for answer in others if answer != drawn.question.answer), None)
        if partner is None:
            others.setdefault(drawn.question.answer, drawn)
        else:
            found += [others.pop(partner), drawn]
    raise ConfigError(
        f"{2 * wanted} {kind!r} questions were asked for, in pairs with different answers, but "
        f"{len(drawing.scenes)} scenes give only {len(found)}: ask for fewer, or make more scenes"
    )


def kind_shares(asked: Iterable[Question]) -> dict[Kind, float]:
    """The share of each kind."""
    counts = Counter(question.kind for question in asked)
    return {kind: counts[kind] / max(counts.total(), 1) for kind in KINDS}


def blind_accuracy(asked: Sequence[Question], *, learned: Iterable[Question]) -> float:
    """How often one is right without the picture.

    The guess is the answer most common among `learned` to this text, else to texts that differ
    from it in names alone, else to this kind.
    """
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for question in learned:
        for like in _likenesses(question):
            answers[like][question.answer] += 1
    right = 0
    for question in asked:
        known = next((answers[each] for each in _likenesses(question) if each in answers), None)
        if known and max(known, key=lambda each: (known[each], each)) == question.answer:
            right += 1
    return right / max(len(asked), 1)


def _likenesses(question: Question) -> tuple[str, str, str]:
    """The question's text, its text without names, and its kind."""
    return question.text, without_names(question.text), question.kind
