import math

import pytest
import torch
from torch.testing import assert_close

from mplug.objectives.answers import answer_loss, distilled_token_losses, token_losses


def test_answers_count_by_weight_and_are_divided_by_the_images() -> None:
    losses = torch.tensor([[1.0, 2.0], [4.0, 0.0], [0.5, 0.5]])
    made = answer_loss(losses, weights=torch.tensor([0.6, 0.4, 1.0]), images=2)
    assert made.per_answer.tolist() == [3.0, 4.0, 1.0]
    assert made.loss.item() == pytest.approx((0.6 * 3 + 0.4 * 4 + 1.0) / 2)


def test_padding_costs_nothing() -> None:
    logits, targets = torch.zeros(2, 3, 7), torch.tensor([[4, 5, 6], [4, -100, -100]])
    expected = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]) * math.log(7)
    assert_close(token_losses(logits, targets), expected)


def test_a_teacher_is_copied_over_the_vocabulary() -> None:
    logits, targets = torch.randn(2, 3, 7), torch.tensor([[4, 5, 6], [4, -100, -100]])
    teacher = torch.randn(2, 3, 7)
    made = distilled_token_losses(logits, targets, teacher_logits=teacher, share=0.4)
    taught = -(teacher.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    word = -logits[0, 1].log_softmax(-1)[5]
    assert_close(made[0, 1], 0.6 * word + 0.4 * taught[0, 1])
    assert made[1].tolist() == [made[1, 0].item(), 0.0, 0.0]


def test_without_a_share_the_teacher_says_nothing() -> None:
    logits, targets = torch.randn(2, 3, 7), torch.tensor([[4, 5, 6], [4, -100, -100]])
    made = distilled_token_losses(logits, targets, teacher_logits=torch.randn(2, 3, 7), share=0.0)
    assert_close(made, token_losses(logits, targets))


def test_nothing_is_learned_from_padding() -> None:
    logits, targets = torch.randn(1, 3, 7, requires_grad=True), torch.tensor([[4, 5, -100]])
    token_losses(logits, targets).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 2].abs().max() == 0
    assert logits.grad[0, 1].abs().max() > 0
