from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from mplug.config.schema import GenerationConfig
from mplug.data.items import ENTAILMENT, TRUTH
from mplug.tasks.asked import Ask, Asked, Posed
from mplug.tasks.asker import Asker
from mplug.tasks.failures import overlaps, worst
from mplug.tasks.observer import Observer
from mplug.tasks.scene_evaluation import TaskEvaluation
from tests.tiny import GENERATION, SKILLS, tiny_model, tiny_tokenizer

PIXELS = np.random.default_rng(0).normal(size=(5, 3, 24, 24)).astype(np.float32)
LEFT, RIGHT, BELOW = (0.0, 0.0, 0.4, 0.4), (0.6, 0.0, 1.0, 0.4), (0.0, 0.9, 0.4, 1.0)


def evaluated(task: str, posed: list[Posed], said: list[Any]) -> TaskEvaluation:
    asked = Asked(task, "unseen_artist", PIXELS, tuple(posed))
    return TaskEvaluation(asked, (), (), tuple(said), tuple(said))


@pytest.fixture(scope="module")
def asker() -> Asker:
    return Asker(Observer(tiny_model(skills=SKILLS), tiny_tokenizer()), GENERATION)


@dataclass(frozen=True)
class Sure(Asker):
    """Stands in for a model that is the surer of an answer, the later its picture comes."""

    def answer_shares(self, images: Any, asks: Any, *, answers: Any) -> Any:
        assert len(images) == len({ask.pictures for ask in asks})
        return np.array([0.1 * (1 + ask.pictures[0]) for ask in asks])


def test_of_wrong_answers_those_the_model_is_surest_of_come_first() -> None:
    posed = [Posed(Ask((place,), "what is this?"), right="a dog") for place in range(5)]
    said = ["a cat", "a dog", "a sun", "a dog", "a tree"]
    sure = Sure(Observer(tiny_model(), tiny_tokenizer()), GenerationConfig())
    found = worst(sure, evaluated("answer", posed, said), count=2)
    # Only the pictures of wrong answers are looked at again, here the first, third and fifth.
    assert [place for place, _ in found] == [4, 2]
    assert [sure for _, sure in found] == pytest.approx([0.3, 0.2])


def test_nothing_is_worst_where_all_is_right(asker: Asker) -> None:
    posed = [Posed(Ask((0,), "what is this?"), right="a dog")]
    assert worst(asker, evaluated("answer", posed, ["a dog"]), count=3) == []
    boxes = [Posed(Ask((0,), "the dog"), boxes=(LEFT,))]
    assert worst(asker, evaluated("ground", boxes, [np.array(LEFT)]), count=3) == []


def test_of_boxes_those_come_first_that_share_least_and_then_those_furthest_off(
    asker: Asker,
) -> None:
    posed = [Posed(Ask((place,), "the dog"), boxes=(LEFT,)) for place in range(4)]
    little = (0.3, 0.0, 0.7, 0.4)
    evaluation = evaluated("ground", posed, [np.array(b) for b in (little, RIGHT, LEFT, BELOW)])
    assert overlaps(evaluation).tolist() == pytest.approx([1 / 7, 0, 1, 0])
    assert [each.row for each in worst(asker, evaluation, count=9)] == [3, 1, 0]


@pytest.mark.parametrize(("task", "classes"), [("compare", TRUTH), ("entail", ENTAILMENT)])
def test_how_sure_a_model_is_of_a_class_is_the_share_it_gives_it(
    task: str, classes: tuple[str, ...], asker: Asker
) -> None:
    pictures = 2 if task == "compare" else 1
    asks = [Ask(tuple((place + k) % 5 for k in range(pictures)), "two boats") for place in range(5)]
    say = {"compare": asker.truths, "entail": asker.labels}[task]
    shares = {"compare": asker.truth_shares, "entail": asker.label_shares}[task]
    images = asker.observer.images(PIXELS)
    said = say(images, asks)
    other = [next(name for name in classes if name != each) for each in said]
    evaluation = evaluated(
        task, [Posed(ask, right=right) for ask, right in zip(asks, other, strict=True)], said
    )
    table = shares(images, asks)
    assert table.sum(axis=1) == pytest.approx(np.ones(5))
    found = worst(asker, evaluation, count=5)
    assert [each.sure for each in found] == pytest.approx(sorted(table.max(axis=1), reverse=True))
    assert said[found[0].row] == classes[int(table[found[0].row].argmax())]


@torch.inference_mode()
def test_how_sure_a_model_is_of_an_answer_is_the_probability_of_all_its_words(
    asker: Asker,
) -> None:
    """Also of its end; beside longer answers as alone."""
    images = asker.observer.images(PIXELS[:2])
    asks = [Ask((0,), "two boats"), Ask((1,), "a red boat")]
    answers = ["boats", "two red boats"]
    together = asker.answer_shares(images, asks, answers=answers)
    alone = [
        asker.answer_shares(images, [ask], answers=[answer])[0]
        for ask, answer in zip(asks, answers, strict=True)
    ]
    assert together == pytest.approx(alone, rel=1e-4, abs=0)
    model, tokenizer = asker.observer.model, asker.observer.tokenizer
    text = asker.observer.encoded([[tokenizer.cls_id, *tokenizer.encode("a red boat")]])
    memory = model.joint_memory(text.states, images[1:], text.mask)
    ids = torch.tensor([[tokenizer.cls_id, *tokenizer.encode("two red boats"), tokenizer.sep_id]])
    likely = model.decode(ids[:, :-1], None, *memory).double().softmax(dim=2)
    each = likely[0].gather(1, ids[0, 1:, None])
    assert together[1] == pytest.approx(float(each.prod()), rel=1e-4, abs=0)
