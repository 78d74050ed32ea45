"""Every model of the family learns one batch of scenes by heart, in all of its objectives."""

import pytest
import torch

from mplug.config.recipes_zoo import MODELS, OBJECTIVES
from mplug.tasks.zoo_draws import ZooDraws
from mplug.training.distributed import Processes
from tests.tasks.zoo_batches import batch, task, tiny

STEPS, EVERY, WARM, RATE = 150, 15, 30, 2e-3


QUICK = ("oscar", "unified-vlp")  # one that reads, one that also writes; the others take longer
EVERYONE = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS
]


@pytest.mark.parametrize("name", EVERYONE)
def test_a_batch_of_scenes_is_learned_by_heart(name: str) -> None:
    config, objectives = tiny(MODELS[name]()), OBJECTIVES[name]
    shown = batch(as_regions=config.image.kind == "regions")
    learner = task(config, objectives)
    optimizer = torch.optim.AdamW(learner.parameters(), betas=(0.9, 0.98))
    blind = learner.blind(shown, 0)
    shares: dict[str, float] = {}
    for step in range(STEPS):
        learner.before_step(0)  # the same is hidden in every step
        result = learner(shown, 0)
        shares = {
            each: float(result.logs[each]) / blind[f"{each}_blind"] for each in objectives.chosen
        }
        if step % EVERY == 0 and max(shares.values()) < 0.5:
            return
        optimizer.zero_grad()
        result.loss.backward()
        unreached = [each for each, p in learner.named_parameters() if p.grad is None]
        assert not unreached
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARM)
        optimizer.step()
    pytest.fail(f"of the blind value, {shares} are left after {STEPS} steps")


def test_validation_says_what_was_learned() -> None:
    learner = task(tiny(MODELS["unimo"]()), OBJECTIVES["unimo"])
    figures = learner.eval().evaluate()
    for name in OBJECTIVES["unimo"].chosen:
        assert figures[f"validation_{name}_blind"] > 0
        assert figures[f"learned_{name}"] == 0


def test_draws_are_those_of_one_process_with_the_whole_batch() -> None:
    def draws(rank: int, world: int) -> ZooDraws:
        return ZooDraws(5, 6, 0, 7, Processes(rank=rank, world=world), torch.device("cpu"))

    whole = draws(0, 1).uniform(1, 4, 3)
    halves = [draws(rank, 2).uniform(1, 2, 3) for rank in (0, 1)]
    assert torch.equal(whole, torch.cat(halves))
    assert torch.equal(draws(0, 1).uniform(1, 4, 2), whole[:, :2])
