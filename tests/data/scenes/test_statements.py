from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.phrases import concept_names
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.statements import Hypothesis, Statement, hypothesis
from mplug.data.scenes.stream import SceneExamples
from mplug.data.scenes.tasks import SceneTasks
from tests.data.scenes.truth import NAMES, SIDE, named, relation_is_true, shows, stands

CONFIG = ScenesConfig(concepts=20, held_out_pairs=60, max_objects=3)
EXAMPLES = SceneExamples(CONFIG, image_size=32)
WORLD = EXAMPLES.world


@cache
def compared() -> list[tuple[Scene, Scene, Statement]]:
    """What training says of 900 pairs of scenes."""
    examples = SceneTasks(CONFIG, image_size=32, tasks=["compare"])
    shown = [examples.shown(position, seed=0) for position in range(900)]
    return [
        (each.pictures[0].scene, each.pictures[1].scene, said)
        for each in shown
        for said in each.statements
    ]


@cache
def supposed() -> list[tuple[Scene, Hypothesis]]:
    """What training supposes of 1500 scenes, half of them with a screen."""
    found = []
    for position in range(1500):
        random = np.random.default_rng([position, 2])
        renderer = replace(EXAMPLES.renderer, screened=position % 2 == 0)
        scene = renderer.scene(EXAMPLES.draw_names(random), random=random)
        said = hypothesis(scene, random=random, world=WORLD)
        if said is not None:
            found.append((scene, said))
    return found


def is_true(left: Scene, right: Scene, text: str) -> bool:
    """By the words, the names and the boxes alone."""
    side = right if "right picture" in text else left
    names = concept_names(text, NAMES)
    if "more things" in text:
        other = left if side is right else right
        return len(side.objects) > len(other.objects)
    if SIDE.search(text.replace("left picture", "").replace("right picture", "")):
        return relation_is_true(side, text)
    here = [shows(scene, names[0]) for scene in (left, right)]
    if text.startswith("both"):
        return all(here)
    if text.startswith("only one"):
        return sum(here) == 1
    return not any(here) if text.startswith("neither") else shows(side, names[0])


def label_of(scene: Scene, text: str) -> str:
    """What a picture says to a hypothesis, worked out from names, boxes and screen."""
    names, side = concept_names(text, NAMES), SIDE.search(text)
    if side is None:
        if shows(scene, names[0]):
            return "entailment"
        return "contradiction" if scene.screen is None else "neutral"
    other = named(scene, names[1])
    if shows(scene, names[0]) and stands(named(scene, names[0]), side.group(), other):
        return "entailment"
    if scene.screen is None:
        return "contradiction"
    behind = replace(other, name="behind", box=scene.screen)
    return "neutral" if stands(behind, side.group(), other) else "unclear"


def test_every_statement_is_as_true_as_its_label_says() -> None:
    assert len(compared()) > 900
    for left, right, said in compared():
        assert is_true(left, right, said.text) == said.label, said


def test_no_template_tells_whether_a_statement_is_true() -> None:
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for _, _, said in compared():
        counts[said.template][said.label] += 1
    assert set(counts) == {"both", "only one", "one side", "neither", "more", "relation"}
    for count in counts.values():
        assert count[True] / count.total() == pytest.approx(0.5, abs=0.1)


def test_the_same_text_is_true_of_some_pairs_and_false_of_others() -> None:
    labels: dict[str, set[bool]] = defaultdict(set)
    often = Counter(said.text for _, _, said in compared())
    for _, _, said in compared():
        labels[said.text].add(said.label)
    assert all(labels[text] == {True, False} for text, count in often.items() if count > 11)


def test_training_never_says_that_of_a_held_out_pair_the_one_is_missing() -> None:
    for left, right, said in compared():
        if (said.template, said.label) in [("both", False), ("only one", True), ("neither", True)]:
            (name,) = concept_names(said.text, NAMES)
            for scene in (left, right):
                assert not any({name, each} in WORLD.held_out for each in scene.names)


def test_every_hypothesis_has_the_label_that_its_picture_gives() -> None:
    assert len(supposed()) > 1490
    for scene, said in supposed():
        assert label_of(scene, said.text) == said.label, said


def test_no_hypothesis_tells_its_label() -> None:
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for _, said in supposed():
        counts[said.relation][said.label] += 1
    blind = sum(max(count.values()) for count in counts.values()) / len(supposed())
    assert blind < 0.38
    assert counts[True].total() > 0.2 * len(supposed())


def test_the_same_hypothesis_stands_with_every_label() -> None:
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for _, said in supposed():
        labels[said.text][said.label] += 1
    assert all(len(each) == 3 for each in labels.values() if each.total() > 24)
    guess = sum(max(each.values()) for text, each in labels.items() if each.total() > 24)
    assert guess < 0.5 * sum(each.total() for each in labels.values() if each.total() > 24)
