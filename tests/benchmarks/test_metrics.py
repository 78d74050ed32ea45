"""The benchmark of the metrics: its captions and its work, without Java."""

import pytest

from benchmarks.metrics import build_ours, build_reward, build_reward_twin, make_captions


def test_captions_are_the_same_for_a_seed_and_hardly_any_two_are_alike() -> None:
    captions = make_captions(images=40, references=3)
    assert captions == make_captions(images=40, references=3)
    texts = [*captions.candidates, *(text for each in captions.references for text in each)]
    assert len(texts) == 160
    assert len(set(texts)) > 150


def test_the_package_is_timed_and_says_every_figure() -> None:
    counts = build_ours(images=4, references=2)()
    figures = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]
    assert list(counts) == ["tokenising", *figures]


def test_rewards_are_the_same_one_by_one() -> None:
    sizes = {"pictures": 3, "samples": 2, "images": 6}
    found = build_reward(**sizes)()["mean"]
    assert found > 0
    assert found == pytest.approx(build_reward_twin(**sizes)()["mean"], abs=1e-12)
