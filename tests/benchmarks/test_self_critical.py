"""The self-critical step against the twin that differentiates through the search."""

import torch
from torch.testing import assert_close

from benchmarks.self_critical import batches, build_reward, learner, loss_through_search


def test_a_step_learns_what_the_gradient_through_the_search_teaches() -> None:
    task, batch = learner("quick"), next(batches("quick", batch=2))
    task.rewards = lambda said, _: [[sum(i) % 7 / 3 for i in one] for one in said]  # type: ignore[method-assign, assignment]
    task.before_step(0)
    losses, gradients = [], []
    for loss in (task(batch, 0).loss, loss_through_search(task, batch)):
        torch.autograd.backward(loss)
        losses.append(loss.detach())
        gradients.append(
            {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}
        )
        task.zero_grad()
    assert_close(*losses, rtol=1e-5, atol=1e-5)
    assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_the_reward_of_captions_is_timed() -> None:
    assert build_reward(size="quick")()["milliseconds"] > 0
