from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from mplug.config.schema import GenerationConfig, ScenesConfig
from mplug.data.items import ENTAILMENT, TRUTH
from mplug.data.scenes.world import TEST_ARTISTS
from mplug.tasks.asked import Ask, Asked, Posed
from mplug.tasks.asker import Asker
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer
from mplug.tasks.scene_evaluation import (
    TASKS,
    TaskEvaluation,
    evaluate_task,
    evaluate_tasks,
    held_out_asks,
)
from mplug.tasks.scene_galleries import learned_asks
from tests.tasks.stubs import GREY, Watching
from tests.tiny import GENERATION, SKILLS, tiny_model, tiny_tokenizer

WORLD = ScenesConfig(concepts=10, held_out_pairs=20, max_objects=3)
COUNT = 36
KINDS = {
    "answer": {"what", "where", "how many", "colour", "yes/no", "relation"},
    "ground": {"name", "relation", "furthest", "thing"},
    "compare": {"both", "only one", "one side", "neither", "more", "relation"},
    "entail": {"presence", "relation"},
}


@dataclass(frozen=True)
class Knowing(Asker):
    """Stands in for a model that knows a gallery by heart; of grey pictures it guesses the first.

    A `sightless` one never looks, and always says what the first ask should be told.
    """

    asked: Asked
    sightless: bool = False

    def answers(self, images: Tensor, asks: Sequence[Ask], *, progress: Any = None) -> list[str]:
        known = {each.ask: each.right for each in self.asked.posed}
        if self.sightless or images[0] == GREY:
            return [self.asked.posed[0].right] * len(asks)
        return [known[ask] for ask in asks]

    truths = labels = answers

    def boxes(self, images: Tensor, asks: Sequence[Ask], *, progress: Any = None) -> Any:
        known = {each.ask: each.boxes[0] for each in self.asked.posed}
        if self.sightless or images[0] == GREY:
            return np.array([self.asked.posed[0].boxes[0]] * len(asks))
        return np.array([known[ask] for ask in asks])


@pytest.fixture(scope="module")
def learned() -> dict[str, tuple[Posed, ...]]:
    return learned_asks(WORLD, count=60)


@pytest.fixture(scope="module")
def gallery() -> dict[str, Asked]:
    asked = held_out_asks(WORLD, split="unseen_artist", image_size=24, count=COUNT)
    return {each.task: each for each in asked}


def judged(asked: Asked, learned: Any, *, sightless: bool = False) -> TaskEvaluation:
    watching = Watching(tiny_model(), tiny_tokenizer())
    asker = Knowing(watching, GenerationConfig(), asked, sightless)
    return evaluate_task(asker, asked, learned=learned[asked.task])


def everything(evaluation: TaskEvaluation) -> list[Figure]:
    return [*evaluation.figures, *evaluation.extras]


@pytest.mark.parametrize("task", TASKS)
def test_who_knows_everything_is_right_everywhere_and_above_every_baseline(
    task: str, gallery: dict[str, Asked], learned: Any
) -> None:
    evaluation = judged(gallery[task], learned)
    assert all(each.value == each.low == each.high == 1.0 for each in everything(evaluation))
    assert all(max(each.baselines.values()) < 1.0 for each in evaluation.figures)
    assert len(evaluation.said) == len(evaluation.blind) == len(gallery[task].posed)


@pytest.mark.parametrize("task", TASKS)
def test_who_never_looks_is_as_good_as_the_same_model_on_a_grey_picture(
    task: str, gallery: dict[str, Asked], learned: Any
) -> None:
    for each in everything(judged(gallery[task], learned, sightless=True)):
        assert each.value == pytest.approx(each.baselines["blank_image"])


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_given_over_all_and_for_each_kind(
    task: str, gallery: dict[str, Asked], learned: Any
) -> None:
    evaluation = judged(gallery[task], learned)
    kinds = {each.kind for each in gallery[task].posed}
    assert kinds <= KINDS[task]
    assert len(evaluation.extras) == len(kinds)
    assert all(f"split:{gallery[task].split}" in each.signature for each in everything(evaluation))


def test_baselines_are_the_commonest_of_training(gallery: dict[str, Asked], learned: Any) -> None:
    first = judged(gallery["answer"], learned).figures[0]
    commonest = Counter(each.right for each in learned["answer"]).most_common(1)[0][0]
    share = np.mean([each.right == commonest for each in gallery["answer"].posed])
    assert first.baselines["majority_answer"] == pytest.approx(share)
    assert first.baselines["most_common_answer_to_text"] <= 0.5
    assert set(judged(gallery["ground"], learned).figures[0].baselines) == {
        "centre_box",
        "mean_box",
        "blank_image",
    }


def test_every_question_is_asked_of_pictures_that_answer_it_differently(
    gallery: dict[str, Asked],
) -> None:
    answers = defaultdict(set)
    for each in gallery["answer"].posed:
        answers[each.ask.text].add(each.right)
    assert all(len(different) > 1 for different in answers.values())
    kinds = Counter(each.kind for each in gallery["answer"].posed)
    assert set(kinds) == KINDS["answer"]
    assert max(kinds.values()) - min(kinds.values()) <= 2
    assert all(0.1 <= count / kinds.total() <= 0.25 for count in kinds.values())


def test_labels_are_about_as_common_as_one_another(gallery: dict[str, Asked]) -> None:
    for task, labels in (("compare", TRUTH), ("entail", ENTAILMENT)):
        counts = Counter(each.right for each in gallery[task].posed)
        assert set(counts) == set(labels)
        assert max(counts.values()) <= 2.5 * min(counts.values())


def test_splits_differ_in_their_artists_only() -> None:
    texts = [
        [
            each.ask.text
            for each in held_out_asks(
                WORLD, split=split, image_size=24, count=4, tasks=("ground",), objects=(1,)
            )[0].posed
        ]
        for split in ("training_artists", "unseen_artist")
    ]
    assert texts[0] == texts[1]
    assert not set(WORLD.artists) & set(TEST_ARTISTS)


def test_a_real_model_answers_every_ask_alike_in_any_company(gallery: dict[str, Asked]) -> None:
    asker = Asker(Observer(tiny_model(skills=SKILLS), tiny_tokenizer()), GENERATION)
    for task, say in (
        ("answer", asker.answers),
        ("ground", asker.boxes),
        ("compare", asker.truths),
        ("entail", asker.labels),
    ):
        images = asker.observer.images(gallery[task].pixels)
        short = sorted((each.ask for each in gallery[task].posed), key=lambda ask: len(ask.text))
        some = [*short[:3], short[6]]
        together = say(images, some)
        assert len(together) == len(some)
        for ask, said in zip(some, together, strict=True):
            np.testing.assert_array_equal(say(images, [ask])[0], said)


def test_boxes_lie_in_the_picture(gallery: dict[str, Asked], learned: Any) -> None:
    observer = Observer(tiny_model(skills=SKILLS), tiny_tokenizer())
    (found,) = evaluate_tasks(observer, [gallery["ground"]], learned=learned, generation=GENERATION)
    boxes = np.stack(found.said)
    assert boxes.shape == (len(gallery["ground"].posed), 4)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
