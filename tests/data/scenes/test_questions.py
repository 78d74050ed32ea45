from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.phrases import concept_names
from mplug.data.scenes.questions import (
    KINDS,
    Question,
    balanced_questions,
    blind_accuracy,
    kind_shares,
    possible_kinds,
    questions,
)
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.stream import SceneExamples
from mplug.errors import ConfigError
from tests.data.scenes.truth import (
    NAMES,
    fits,
    named,
    place_is_true,
    relation_is_true,
    shows,
    stands,
)

EXAMPLES = SceneExamples(ScenesConfig(concepts=20, held_out_pairs=60, max_objects=3), image_size=32)
WORLD = EXAMPLES.world


@cache
def asked(screened: bool = False) -> list[tuple[Scene, Question]]:
    """What training asks of scenes."""
    renderer = replace(EXAMPLES.renderer, painted=0.25, screened=screened)
    found = []
    for position in range(300 if screened else 1500):
        random = np.random.default_rng([position, 1])
        scene = renderer.scene(EXAMPLES.draw_names(random), random=random)
        found += [(scene, each) for each in questions(scene, random=random, world=WORLD, count=2)]
    return found


@cache
def gallery() -> list[Scene]:
    renderer = replace(EXAMPLES.plain_renderer(), painted=0.25)
    random = np.random.default_rng(3)
    names = [[str(n) for n in random.permutation(WORLD.names)[: 1 + k % 3]] for k in range(200)]
    return [renderer.scene(each, random=random) for each in names]


def is_true(scene: Scene, question: Question) -> bool:
    """By the question's words and the boxes alone."""
    text, answer = question.text, question.answer
    names = concept_names(text, NAMES)
    if question.kind == "how many":
        return answer == str(len(scene.objects))
    if question.kind == "yes/no":
        return shows(scene, names[0]) == (answer == "yes")
    if question.kind == "colour":
        return named(scene, names[0]).colour == answer
    if question.kind == "where":
        return place_is_true(scene, named(scene, names[0]), answer)
    if question.kind == "what":
        found = scene.objects if len(scene.objects) == 1 else fits(scene, text)
        return [each.name for each in found] == [answer]
    if answer in ("yes", "no"):
        return relation_is_true(scene, text) == (answer == "yes")
    side = answer if answer in ("above", "below") else f"{answer} of"
    return stands(named(scene, names[0]), side, named(scene, names[1]))


def in_turn(questions: list[Question], kind: str) -> Iterator[Question]:
    return (each for each in questions if each.kind == kind)


def test_every_answer_is_true_of_its_scene() -> None:
    wrong = [each for scene, each in asked() if not is_true(scene, each)]
    assert not wrong
    assert {each.kind for _, each in asked()} == set(KINDS)


def test_each_kind_is_10_to_25_percent_of_what_training_asks() -> None:
    shares = kind_shares(each for _, each in asked())
    assert all(0.10 <= share <= 0.25 for share in shares.values()), shares


def test_training_questions_do_not_tell_their_answers() -> None:
    drawn = [each for _, each in asked()]
    half = len(drawn) // 2
    allowed = {
        "what": 0.12,  # one of 20 names, less what the question itself names
        "where": 0.35,
        "how many": 0.43,
        "colour": 0.27,
        "yes/no": 0.60,
        "relation": 0.46,  # half of them are "yes" or "no", half one of four
    }
    for kind, most in allowed.items():
        learned, rest = (list(in_turn(part, kind)) for part in (drawn[:half], drawn[half:]))
        assert blind_accuracy(rest, learned=learned) < most, kind


def test_absent_things_are_asked_about_as_often_as_present_ones_but_no_held_out_pair() -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for scene, each in asked():
        if each.kind == "yes/no":
            (name,) = concept_names(each.text, NAMES)
            answers[name][each.answer] += 1
            assert WORLD.may_meet({*scene.names, name})
    total = sum(answers.values(), Counter[str]())
    assert total["yes"] / total.total() == pytest.approx(0.5, abs=0.07)
    assert all(set(each) == {"yes", "no"} for each in answers.values())


def test_nobody_counts_or_misses_things_that_a_screen_may_hide() -> None:
    kinds = {each.kind for _, each in asked(screened=True)}
    assert kinds == {"where", "colour", "relation"}
    assert all(is_true(scene, each) for scene, each in asked(screened=True))


def test_evaluation_asks_every_text_of_two_scenes_with_two_answers() -> None:
    found = balanced_questions(gallery(), count=120, random=np.random.default_rng(0), world=WORLD)
    assert len(found) == 120
    answers: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for each in found:
        assert is_true(gallery()[each.scene], each.question)
        answers[each.question.text].append((each.scene, each.question.answer))
    for told in answers.values():
        assert len(set(told)) == len(told)
        assert len({answer for _, answer in told}) > 1
    shares = kind_shares(each.question for each in found)
    assert set(shares.values()) == {20 / 120}
    again = balanced_questions(gallery(), count=120, random=np.random.default_rng(0), world=WORLD)
    assert again == found


def test_blind_guesses_on_evaluation_questions_are_far_from_right() -> None:
    found = balanced_questions(gallery(), count=240, random=np.random.default_rng(0), world=WORLD)
    learned = [each for _, each in asked()]
    assert blind_accuracy([each.question for each in found], learned=learned) < 0.37


def test_kinds_that_a_world_cannot_have_are_left_out() -> None:
    assert set(KINDS) - set(possible_kinds([2, 2])) == {"how many"}
    assert set(KINDS) - set(possible_kinds([1])) == {"how many", "relation"}
    assert possible_kinds([1, 2]) == KINDS


def test_too_few_scenes_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 scenes give only"):
        balanced_questions(gallery()[:3], count=600, random=np.random.default_rng(0), world=WORLD)


def test_a_blind_guess_knows_texts_then_texts_with_other_names_then_kinds() -> None:
    def ask(text: str, answer: str) -> Question:
        return Question("where", text, answer)

    learned = [
        *(ask("where is the dog?", answer) for answer in ("left", "left", "top")),
        *(ask("where is the cat?", answer) for answer in ("top", "top")),
        *(ask("where?", "bottom") for _ in range(4)),
    ]
    dog, bee, other = "where is the dog?", "where is the bee?", "where are the grapes?"
    assert blind_accuracy([ask(dog, "left"), ask(dog, "top")], learned=learned) == 0.5
    assert blind_accuracy([ask(bee, "top")], learned=learned) == 1
    assert blind_accuracy([ask(other, "bottom")], learned=learned) == 1
    assert blind_accuracy([], learned=learned) == 0
