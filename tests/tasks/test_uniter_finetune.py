from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from mplug.config.schema_uniter import UniterSkill
from mplug.config.schema_uniter_run import UniterOptim, UniterRetrieval, UniterTask, UniterTasks
from mplug.data.items import Item, Target, collate_items
from mplug.data.regions.batch import RegionTaskBatch
from mplug.objectives.ranking import triplet
from mplug.tasks.uniter_finetune import UniterFinetuning
from mplug.tasks.uniter_parts import answer_targets
from mplug.tasks.uniter_retrieval import ranking_losses
from mplug.training.distributed import Processes
from tests.tasks.regional import random_pairs, random_regions, uniter

SKILLS = get_args(UniterSkill)
ALL = UniterTasks(
    answer=UniterTask(),
    retrieve=UniterRetrieval(candidates=4, hardest=2),
    compare=UniterTask(weight=2.0),
    ground=UniterTask(),
    entail=UniterTask(),
)


def batch(seed: int = 0) -> RegionTaskBatch:
    asked = {
        "answer": (
            Item((0,), [2, 7 + seed], (Target([3], 0.7), Target([5], 0.3))),
            Item((1,), [2, 9, 8], (Target([1]),)),
        ),
        "compare": (Item((0, 1), [2, 11, 6], label=1), Item((1, 2), [2, 12], label=0)),
        "ground": (Item((0,), [2, 10, 20], label=3), Item((0,), [2, 13], label=1)),
        "entail": (Item((2,), [2, 15], label=2), Item((0,), [2, 16], label=0)),
    }
    items = collate_items([(3, asked)])
    return RegionTaskBatch(random_regions(3, seed=seed), items, random_pairs(5, seed=seed))


def finetuning(tasks: UniterTasks = ALL) -> UniterFinetuning:
    return UniterFinetuning(
        uniter(*SKILLS),
        tasks=tasks,
        optim=UniterOptim(steps=3, batch_size=3, lr=1e-3, head_lr=1e-2),
        seed=2,
        processes=Processes(),
        validation=lambda: [batch(1), batch(2)],
    )


def test_an_answer_is_as_right_as_its_weights_say() -> None:
    targets = answer_targets(batch().items["answer"], answers=6)
    assert_close(targets, torch.tensor([[0, 0, 0, 0.7, 0, 0.3], [0, 1, 0, 0, 0, 0]]))


def test_the_loss_is_the_weighted_sum_of_the_tasks() -> None:
    task = finetuning().eval()
    result = task(batch(), 0)
    weights = {"compare": 2.0}
    total = sum(weights.get(name, 1.0) * loss for name, loss in result.logs.items())
    assert set(result.logs) == {"answer", "retrieve", "compare", "ground", "entail"}
    assert_close(result.loss.detach(), total)


@pytest.mark.parametrize("name", ["answer", "compare", "ground", "entail", "retrieve"])
def test_only_what_a_task_uses_learns(name: str) -> None:
    task = finetuning(UniterTasks(**{name: getattr(ALL, name)}))
    task(batch(), 0).loss.backward()
    for each, parameter in task.named_parameters():
        if parameter.requires_grad and "pooler" not in each:
            assert parameter.grad is not None, each
    groups = {group.name: group for group in task.parameter_groups()}
    assert groups["heads"].lr == 1e-2
    assert groups["heads"].parameters


def test_evaluation_stands_beside_what_sees_nothing() -> None:
    figures = finetuning().eval().evaluate()
    for name in ALL.chosen:
        assert {f"validation_{name}", f"validation_{name}_blind"} <= set(figures)
    assert figures["validation_retrieve_blind"] == pytest.approx(0.2)


def test_a_triplet_costs_what_is_lacking_to_the_margin() -> None:
    logits = torch.tensor([0.0]), torch.tensor([[0.0, -100.0, 100.0]])
    assert_close(triplet(*logits, margin=0.2), torch.tensor([[0.2, 0.0, 0.7]]))


def test_the_hardest_of_all_candidates_are_learned_from() -> None:
    model = uniter(*SKILLS).eval()
    pairs = random_pairs(5)
    settings = UniterRetrieval(candidates=4, hardest=4)
    uniforms = torch.rand(5, 5, generator=torch.Generator().manual_seed(3))
    every = ranking_losses(model, pairs, settings=settings, uniforms=uniforms)
    hard = ranking_losses(
        model, pairs, settings=UniterRetrieval(candidates=4, hardest=1), uniforms=uniforms
    )
    assert every.shape == (10, 4)
    assert_close(hard[:, 0], every.amax(dim=1))


def test_partners_that_are_right_too_cost_nothing() -> None:
    pairs = random_pairs(5)
    pairs.caption_ids[:] = 1
    losses = ranking_losses(
        uniter(*SKILLS).eval(),
        pairs,
        settings=UniterRetrieval(candidates=4, hardest=2),
        uniforms=torch.rand(5, 5),
    )
    assert not losses.any()


def learned(tasks: UniterTasks, *, steps: int) -> None:
    task = finetuning(tasks)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(task.parameters(), lr=4e-3)
    # A rate that falls to nothing: the end must not depend on which step was the last.
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        task.before_step(0)
        task(batch(), 0).loss.backward()
        optimizer.step()
        schedule.step()
    task.eval()
    with torch.no_grad():
        losses, blind = task._losses(batch(), 0, part=0), task.blind(batch(), 0)
    for name, loss in losses.items():
        assert float(loss) < blind[f"{name}_blind"] / 2, name


def test_it_learns_what_is_asked_by_heart() -> None:
    learned(ALL.model_copy(update={"retrieve": None}), steps=100)


def test_it_learns_pairs_by_heart() -> None:
    learned(UniterTasks(retrieve=UniterRetrieval(candidates=4, hardest=4)), steps=200)
