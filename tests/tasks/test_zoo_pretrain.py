"""Every model of the family learns one batch of scenes by heart, in all of its objectives."""

import pytest
import torch

from mplug.config.recipes_zoo import MODELS, OBJECTIVES
from tests.tasks.zoo_batches import batch, task, tiny

STEPS, EVERY, RATE = 240, 20, 3e-3


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_scenes_is_learned_by_heart(name: str) -> None:
    config, objectives = tiny(MODELS[name]()), OBJECTIVES[name]
    shown = batch(as_regions=config.image.kind == "regions")
    learner = task(config, objectives)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=RATE)
    shares: dict[str, float] = {}
    for step in range(STEPS):
        loss = learner(shown, 0).loss
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            unreached = [name for name, p in learner.named_parameters() if p.grad is None]
            assert not unreached
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        if step % EVERY == EVERY - 1:
            logs, blind = learner(shown, 0).logs, learner.blind(shown, 0)
            shares = {
                each: float(logs[each]) / blind[f"{each}_blind"] for each in objectives.chosen
            }
            if max(shares.values()) < 0.5:
                return
    pytest.fail(f"of the blind value, {shares} are left after {STEPS} steps")
