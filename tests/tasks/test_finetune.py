"""Fine-tuning on several tasks: what learns, what each costs, and that none disturbs another."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.data.items import ItemBatch, TaskBatch
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.boxes import to_bins, to_centres
from mplug.tasks.finetune import Finetuning
from tests.tasks import little

READS = {"vision", "visual_projection", "text_encoder", "fusion"}
TOUCHED = {
    "caption": {"vision", "visual_projection", "decoder"},
    "answer": READS | {"decoder"},
    "ground": READS | {"decoder"},
    "compare": READS | {"second_image", "compare_head"},
    "entail": READS | {"entail_head"},
}
ALL = (*TOUCHED, "retrieval")


def step(task: Finetuning, batch: TaskBatch, number: int = 0) -> dict[str, Tensor]:
    """Forward and backward; what is logged."""
    task.before_step(number)
    loss, logs = task(batch, number)
    torch.autograd.backward(loss)
    return logs


@pytest.mark.parametrize("name", TOUCHED)
def test_each_task_alone_trains_its_own_parts(name: str) -> None:
    task = little.finetuning(name)
    step(task, little.task_batch())
    trained = list(little.gradients(task))
    assert {key.split(".")[1] for key in trained} == TOUCHED[name]
    asked = [key for key, parameter in task.named_parameters() if parameter.requires_grad]
    assert set(trained) <= set(asked)


def test_all_tasks_at_once_leave_nothing_without_gradient() -> None:
    task = little.finetuning(*ALL, settings=little.objectives())
    step(task, little.task_batch())
    trained = little.gradients(task)
    assert [n for n, p in task.named_parameters() if p.requires_grad and n not in trained] == []


def test_frozen_encoders_are_not_trained_and_search_stays_as_it_was() -> None:
    optim = little.OPTIM.model_copy(update={"vision_lr": 0.0, "text_lr": 0.0})
    task = little.finetuning(*TOUCHED, optim=optim)
    step(task.train(), little.task_batch())
    trained = {key.split(".")[1] for key in little.gradients(task)}
    assert trained == {"fusion", "decoder", "second_image", "compare_head", "entail_head"}
    encoders = (task.model.vision, task.model.visual_projection, task.model.text_encoder)
    assert not any(part.training for part in encoders)


def test_a_frozen_image_encoder_is_its_own_teacher() -> None:
    optim = little.OPTIM.model_copy(update={"vision_lr": 0.0})
    looks = []
    for frozen in (False, True):
        task = little.finetuning("retrieval", optim=optim if frozen else little.OPTIM)
        assert task.pairs is not None
        seen: list[int] = []
        task.pairs.teacher.vision.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        logs = step(task.train(), little.task_batch())
        assert torch.isfinite(logs["itc"])
        looks.append(len(seen))
    assert looks == [1, 0]


def test_every_picture_is_encoded_once_for_all_tasks() -> None:
    task, seen = little.finetuning(*ALL), list[int]()
    task.model.vision.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    batch = little.task_batch()
    step(task, batch)
    assert seen == [len(batch.pixels)] == [10]


@pytest.mark.parametrize("name", TOUCHED)
def test_a_task_costs_the_same_beside_others(name: str) -> None:
    batch = little.task_batch()
    alone = little.finetuning(name).eval()
    logs = little.finetuning(*ALL).eval()(batch, 0).logs
    if name in ("compare", "entail"):  # their new heads are drawn after other tasks' ones
        joint = little.finetuning(*ALL).eval()
        joint.load_state_dict(alone.state_dict(), strict=False)
        logs = joint(batch, 0).logs
    assert_close(logs[name], alone(batch, 0).logs[name], atol=1e-5, rtol=0)


def test_the_loss_is_the_weighted_sum() -> None:
    task, batch = little.finetuning("caption", "answer").eval(), little.task_batch()
    logs = task(batch, 0).logs
    task.parts = {
        name: replace(part, weight=weight)
        for (name, part), weight in zip(task.parts.items(), (0.5, 3.0), strict=True)
    }
    assert_close(task(batch, 0).loss.detach(), 0.5 * logs["caption"] + 3 * logs["answer"])


def test_an_answer_costs_its_words_weighted_a_mean_over_questions() -> None:
    task, batch = little.finetuning("answer").eval(), little.task_batch((3, 5))
    items, model = batch.items["answer"], task.model
    image = model.encode_image(batch.pixels)
    costs = []
    for row in range(len(items)):
        words = items.text[row][items.text_mask[row]][None]
        seen = torch.ones_like(words, dtype=torch.bool)
        memory, _ = model.joint_memory(
            model.encode_text(words, seen), image[items.images[row]], seen
        )
        cost = torch.zeros(())
        for target in (items.target_item == row).nonzero()[:, 0].tolist():
            ids = items.target_ids[target][items.target_mask[target]]
            said = model.decode(ids[None, :-1], None, memory)[0].log_softmax(dim=-1)
            loss = -said.gather(1, ids[1:, None]).sum()
            cost = cost + items.target_weight[target] * loss
        costs.append(cost)
    assert len(costs) == 4
    expected = torch.stack(costs).mean()
    assert_close(task(batch, 0).loss, expected, atol=1e-5, rtol=0)


def test_a_box_costs_its_coordinates_among_the_coordinate_tokens() -> None:
    task, batch = little.finetuning("ground").eval(), little.task_batch((3, 5))
    items, model = batch.items["ground"], task.model
    text = model.encode_text(items.text, items.text_mask)
    image = model.encode_image(batch.pixels)[items.images[:, 0]]
    memory, mask = model.joint_memory(text, image, items.text_mask)
    tokenizer = little.tokenizer()
    bins = to_bins(to_centres(items.boxes), bins=len(tokenizer.box_ids))
    start = torch.full((len(bins), 1), tokenizer.start_box_id)
    words = torch.cat([start, bins + tokenizer.box_ids[0]], dim=1)
    ids, _, targets = shifted(words, torch.ones_like(words, dtype=torch.bool))
    logits = model.decode(ids, None, memory, mask)
    forbidden = torch.ones(logits.shape[-1], dtype=torch.bool)
    forbidden[list(tokenizer.box_ids)] = False
    said = logits.masked_fill(forbidden, -math.inf).log_softmax(dim=-1)
    expected = -said.gather(2, targets[..., None]).mean()
    assert_close(task(batch, 0).loss, expected, atol=1e-5, rtol=0)


def test_a_weighted_box_loss_is_logged_without_its_weights() -> None:
    batch = little.task_batch()
    plain = little.finetuning("ground").eval()(batch, 0)
    weighted = little.finetuning("ground", box_loss="weighted").eval()(batch, 0)
    assert_close(weighted.logs, plain.logs)
    assert not math.isclose(weighted.loss.item(), plain.loss.item())


@pytest.mark.parametrize("name", ALL)
def test_padding_and_company_change_no_items_loss(name: str) -> None:
    task = little.finetuning(name, settings=little.only("mlm", mask_share=1.0)).eval()
    small, large = (little.task_batch(lengths) for lengths in ((3,), (3, 9)))
    if name == "retrieval":
        return
    counted = [
        len(task.parts[name].part.terms(*_given(task, each, name)).loss) for each in (small, large)
    ]
    one = task.parts[name].part.terms(*_given(task, small, name)).loss
    both = task.parts[name].part.terms(*_given(task, large, name)).loss
    assert counted[0] < counted[1]
    assert_close(both[: len(one)], one, atol=1e-5, rtol=0)


def _given(task: Finetuning, batch: TaskBatch, name: str) -> tuple[MPlug, Tensor, ItemBatch]:
    items = batch.items[name]
    return task.model, task.model.encode_image(batch.pixels)[items.images], items


def test_a_clip_is_read_as_its_frames_tokens_in_a_row() -> None:
    task, batch = little.finetuning("entail").eval(), little.task_batch((3, 5))
    items = batch.items["entail"]
    clip = replace(items, images=torch.tensor([[0, 1], [2, 3]]))
    other = replace(items, images=torch.tensor([[0, 0], [2, 2]]))
    first, second = (
        task(replace(batch, items={"entail": each}), 0).logs["entail"] for each in (clip, other)
    )
    assert not math.isclose(float(first), float(second), abs_tol=1e-7)


def test_blind_is_the_cost_of_the_same_questions_beside_blank_pictures() -> None:
    task, batch = little.finetuning(*TOUCHED).eval(), little.task_batch()
    blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
    expected = {f"{name}_blind": float(value) for name, value in task(blank, 0).logs.items()}
    assert task.blind(batch, 0) == pytest.approx(expected, abs=1e-5)


def test_a_batch_may_lack_some_tasks() -> None:
    task = little.finetuning("caption", "entail").eval()
    logs = step(task, little.task_batch(names=["caption"]))
    assert float(logs["entail"]) == 0
    assert float(logs["caption"]) > 0


def test_validation_judges_every_task() -> None:
    validation = [little.task_batch(seed=seed) for seed in (8, 9)]
    found = little.finetuning(*ALL, validation=validation).eval().evaluate()
    for name in (*TOUCHED, "itc", "itm"):
        assert {f"validation_{name}", f"validation_{name}_blind", f"learned_{name}"} <= set(found)
    assert "validation_recall_at_1_image_to_text" in found


def test_a_few_steps_learn_every_task_by_heart() -> None:
    task, batch = little.finetuning(*TOUCHED), little.task_batch((3, 5))
    task.train()
    learning = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=0.01)
    first = step(task, batch)
    for number in range(150):
        optimizer.zero_grad()
        last = step(task, batch, number)
        optimizer.step()
    assert all(float(last[name]) < 0.2 * float(first[name]) for name in TOUCHED)
