import pytest
import torch
from torch.testing import assert_close

from mplug.objectives.self_critical import (
    leave_one_out,
    mean_reward,
    self_critical,
    sequence_log_probability,
)

REWARDS = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]])


def test_a_sample_is_no_part_of_its_own_baseline() -> None:
    assert leave_one_out(REWARDS).tolist() == [[4.0, 3.5, 1.5], [4.0, 4.0, 4.0]]


def test_the_mean_is_the_same_for_all_of_an_image() -> None:
    assert mean_reward(REWARDS).tolist() == [[3.0] * 3, [4.0] * 3]


def test_one_sample_has_no_rivals() -> None:
    with pytest.raises(ValueError, match="at least two samples"):
        leave_one_out(torch.ones(3, 1))


def test_the_better_sample_becomes_likelier_and_the_worse_less_so() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    self_critical(scores, REWARDS, baseline=mean_reward(REWARDS)).loss.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert_close(scores.grad, torch.tensor([[2.0, 1.0, -3.0], [0.0, 0.0, 0.0]]) / 6)


def test_no_gradient_reaches_the_rewards() -> None:
    rewards = REWARDS.clone().requires_grad_()
    made = self_critical(
        torch.ones(2, 3, requires_grad=True), rewards, baseline=mean_reward(rewards)
    )
    made.loss.backward()  # type: ignore[no-untyped-call]
    assert rewards.grad is None


def test_only_counted_words_make_a_texts_probability() -> None:
    logits = torch.tensor([[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]]).log()
    targets, counted = torch.tensor([[1, 0, -100]]), torch.tensor([[True, True, False]])
    made = sequence_log_probability(logits[counted], targets, counted=counted)
    assert_close(made.exp(), torch.tensor([0.45]))
