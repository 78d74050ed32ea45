"""Asks about the same picture share its work, and are answered as each would be alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mplug.tasks.asked import Ask
from mplug.tasks.asker import Asker
from mplug.tasks.observer import Images, Observer
from tests.tiny import GENERATION, SKILLS, tiny_model, tiny_tokenizer

ANSWERS = ("red", "green boats", "a large yellow moon")
ASKS = [Ask((0,), "a red trophy?"), Ask((0,), "moon?"), Ask((2,), "two boats"), Ask((0,), "moon?")]
PAIRS = [Ask((0, 1), "moon"), Ask((0, 1), "boats"), Ask((2, 1), "red"), Ask((1, 0), "moon")]


@pytest.fixture(scope="module")
def asker() -> Asker:
    return Asker(Observer(tiny_model(skills=SKILLS), tiny_tokenizer()), GENERATION)


@pytest.fixture(scope="module")
def images(asker: Asker) -> Images:
    pixels = np.random.default_rng(0).normal(size=(3, 3, 24, 24)).astype(np.float32)
    return asker.observer.images(pixels)


def alone(say: Callable[..., Any], images: Images, asks: Sequence[Ask]) -> list[Any]:
    return [say(images, [ask])[0] for ask in asks]


def test_company_changes_no_words(asker: Asker, images: Images) -> None:
    assert asker.answers(images, ASKS) == alone(asker.answers, images, ASKS)

    def choose(images: Images, asks: Sequence[Ask]) -> list[str]:
        return asker.choices(images, asks, answers=ANSWERS)

    assert choose(images, ASKS) == alone(choose, images, ASKS)


def test_a_grey_picture_is_asked_each_text_once_short_ones_first(asker: Asker) -> None:
    asked: list[str] = []

    def say(images: Images, asks: Sequence[Ask]) -> list[str]:
        asked.extend(ask.text for ask in asks)
        return [f"{ask.text} of {len(images)}" for ask in asks]

    said = asker.blind(say, ASKS)
    assert asked == ["moon?", "two boats", "a red trophy?"]
    assert said == [f"{ask.text} of 1" for ask in ASKS]


def test_company_changes_no_numbers(asker: Asker, images: Images) -> None:
    for say, asks in (
        (asker.boxes, ASKS),
        (asker.label_shares, ASKS),
        (asker.truth_shares, PAIRS),
    ):
        np.testing.assert_allclose(say(images, asks), alone(say, images, asks), atol=1e-5)
