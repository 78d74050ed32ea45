"""Verdicts on pairs a person can check."""

import pytest

from mplug.training.verdict import judge

CHANCE = "at chance"


def test_a_loss_surely_below_its_blind_value_has_learned() -> None:
    verdict = judge([(1.0, 2.0), (1.1, 2.0), (0.9, 2.0)], otherwise=CHANCE)
    assert verdict.learned
    assert verdict.words == "learned"
    assert verdict.gain == pytest.approx(1.0)
    assert verdict.standard_error == pytest.approx(0.1 / 3**0.5)


def test_pairs_remove_what_makes_a_batch_hard() -> None:
    # The losses differ far more between batches than from their blind values.
    hard_and_easy = [(9.0, 9.5), (1.0, 1.5), (5.0, 5.5)]
    assert judge(hard_and_easy, otherwise=CHANCE).learned


@pytest.mark.parametrize(
    "pairs",
    [
        [(2.0, 2.0), (2.1, 2.0), (1.9, 2.0)],  # equal
        [(3.0, 2.0), (3.0, 2.0)],  # worse than blind
        [(1.0, 2.0), (2.9, 2.0), (1.0, 2.0)],  # too uncertain
        [(1.98, 2.0), (1.98, 2.0)],  # certain, and below a margin worth the name
    ],
)
def test_anything_less_is_called_what_the_task_calls_it(pairs: list[tuple[float, float]]) -> None:
    verdict = judge(pairs, otherwise=CHANCE)
    assert not verdict.learned
    assert verdict.words == CHANCE


def test_one_pair_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="at least two validation batches, got 1"):
        judge([(1.0, 2.0)], otherwise=CHANCE)
