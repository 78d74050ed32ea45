"""One step of pretraining: what runs, what learns, and what must not change its losses."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.config.schema import FusionConfig, Term
from mplug.data.batch import Batch
from mplug.objectives import momentum
from mplug.tasks.pretrain import Pretraining
from tests.tasks import little

SEES, READS = {"vision", "visual_projection"}, {"text_encoder"}
TOUCHED = {
    "itc": SEES | READS | {"image_projection", "text_projection", "temperature"},
    "itm": SEES | READS | {"fusion", "itm_head"},
    "mlm": SEES | READS | {"fusion", "mlm_head"},
    "prefix_lm": SEES | READS | {"fusion", "decoder"},
    "tags": SEES | {"tagging"},
}


def part_name(key: str) -> str:
    return key.removeprefix("model.").removeprefix("pairs.")


def step(task: Pretraining, batch: Batch, number: int = 0) -> dict[str, float]:
    """Forward and backward; what is logged."""
    task.before_step(number)
    loss, logs = task(batch, number)
    torch.autograd.backward(loss)
    return {name: float(value) for name, value in logs.items()}


def losses(task: Pretraining, batch: Batch, number: int = 0) -> dict[str, Tensor]:
    return task.pairs.losses(task.model, batch, number, names=little.ALL, part=0, remember=False)[0]


# --- what runs ---


def test_one_visual_pass_of_the_model_and_one_of_the_teacher_feed_everything() -> None:
    task, calls = little.pretraining(), Counter[str]()
    for name, model in (("model", task.model), ("teacher", task.pairs.teacher)):
        model.vision.register_forward_hook(lambda *_, name=name: calls.update([name]))
    step(task, little.batch())
    assert calls == {"model": 1, "teacher": 1}


def test_no_part_ever_sees_the_same_tensors_twice() -> None:
    task, seen = little.pretraining(), Counter[str]()

    def note(name: str, inputs: tuple[object, ...]) -> None:
        shown = [each.tolist() for each in inputs if isinstance(each, Tensor)]
        seen.update([f"{name} {shown}"])

    for name, module in task.named_modules():
        if part_name(name).removeprefix("teacher.").count(".") in (0, 1):
            module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs))
    step(task, little.batch())
    assert len(seen) > 20
    assert set(seen.values()) == {1}


# --- what learns ---


def test_no_parameter_is_left_without_gradient() -> None:
    task = little.pretraining()
    step(task, little.batch())
    trained = {name for name, parameter in task.named_parameters() if parameter.requires_grad}
    assert little.gradients(task).keys() == trained


@pytest.mark.parametrize("name", little.ALL)
def test_each_objective_alone_trains_its_own_parts_and_all_of_them(name: str) -> None:
    task = little.pretraining(little.only(name))
    step(task, little.batch())
    trained = [part_name(key) for key in little.gradients(task)]
    assert {key.split(".")[0] for key in trained} == TOUCHED[name]
    expected = [
        part_name(key)
        for key, parameter in task.named_parameters()
        if parameter.requires_grad and part_name(key).split(".")[0] in TOUCHED[name]
    ]
    assert trained == expected


def test_a_head_for_tags_exists_only_where_they_are_asked_for() -> None:
    plain = little.pretraining(little.only("itc", "itm", "mlm", "prefix_lm"))
    assert not any("tag" in name for name, _ in plain.named_parameters())


def test_the_teacher_covers_what_its_targets_need_and_no_more() -> None:
    task = little.pretraining()
    parts = {name.split(".")[0] for name, _ in task.pairs.teacher.named_parameters()}
    assert parts == (TOUCHED["itc"] | TOUCHED["mlm"])
    assert not any(parameter.requires_grad for parameter in task.pairs.teacher.parameters())


def test_the_teacher_never_leaves_evaluation_mode() -> None:
    task = little.pretraining().train()
    assert task.model.training
    assert not any(module.training for module in task.pairs.teacher.modules())
    task.eval()
    assert not task.model.training


def test_before_a_step_the_teacher_moves_towards_the_model() -> None:
    task = little.pretraining(little.objectives(momentum=0.9))
    old = task.pairs.teacher.mlm_head.transform.weight.clone()
    with torch.no_grad():
        task.model.mlm_head.transform.weight.add_(1.0)
    task.before_step(1000)
    assert_close(task.pairs.teacher.mlm_head.transform.weight, old + 0.1)
    task.before_step(0)  # early on it moves faster
    assert_close(task.pairs.teacher.mlm_head.transform.weight, old + 0.1 + 0.9 * 0.9)


def test_after_a_step_the_temperature_is_within_bounds() -> None:
    task = little.pretraining()
    with torch.no_grad():
        task.model.temperature.fill_(3.0)
    task.after_step()
    assert task.model.temperature.item() == 0.5


# --- when ---


def test_objectives_count_at_their_own_steps() -> None:
    terms = {"itm": Term(every=2), "mlm": Term(every=3, offset=4), "prefix_lm": Term(start=3)}
    task = little.pretraining(little.only("itc", *terms, **terms))
    assert [task.pairs.active(number)[1:] for number in range(5)] == [
        ("itm",),
        ("mlm",),
        ("itm",),
        ("prefix_lm",),
        ("itm", "mlm", "prefix_lm"),
    ]


def test_negatives_become_hard_by_steps() -> None:
    settings = little.only("itm", itm=Term(start=10), hard_negatives_ramp_steps=20)

    def entropy(number: int) -> float:
        return step(little.pretraining(settings), little.batch(), number)["hard_negative_entropy"]

    assert entropy(10) == pytest.approx(math.log(4))  # any of the others
    assert entropy(10) > entropy(20) > entropy(30) == entropy(90)


def test_the_loss_is_the_weighted_sum() -> None:
    weights = {"itc": 0.5, "itm": 2.0, "mlm": 3.0, "prefix_lm": 0.25, "tags": 0.1}
    terms = {name: Term(weight=weight) for name, weight in weights.items()}
    task = little.pretraining(little.objectives(**terms)).eval()
    batch = little.batch()
    separate, _ = task.pairs.losses(task.model, batch, 0, names=little.ALL, part=0)
    task = little.pretraining(little.objectives(**terms)).eval()  # with its queue as it was
    total = sum(weights[name] * loss for name, loss in separate.items())
    assert_close(task(batch, 0).loss, total)


def test_the_teachers_share_ramps_up_by_steps() -> None:
    def difference(number: int) -> float:
        task = little.pretraining(
            little.only("mlm", distillation=0.4, distillation_ramp_steps=10)
        ).eval()
        loss, logs = task(little.batch(), number)
        return float(loss.detach() - logs["mlm"])

    assert difference(0) == 0
    assert difference(5) != 0


def test_what_is_logged_beside_a_blind_value_is_the_loss_without_the_teacher() -> None:
    softened = little.pretraining(little.objectives(distillation=0.4)).eval()
    plain = little.pretraining(little.objectives(distillation=0.0)).eval()
    batch = little.batch()
    losses, logs = softened.pairs.losses(softened.model, batch, 0, names=little.ALL, part=0)
    expected, _ = plain.pairs.losses(plain.model, batch, 0, names=little.ALL, part=0)
    for name in ("itc", "mlm"):
        assert losses[name] != logs[name]
        assert_close(logs[name], expected[name].detach())


# --- ITC and ITM ---


def test_candidates_are_the_batch_and_what_the_queue_has_taken() -> None:
    task = little.pretraining(little.only("itc"))
    blind = [step(task, little.batch(seed=number), number)["itc_blind"] for number in range(3)]
    assert blind == pytest.approx([math.log(count) for count in (5, 10, 12)])
    assert task.pairs.queue.image_ids.sort().values.tolist() == [2003, 2004, *range(3000, 3005)]


def test_measuring_neither_reads_nor_fills_the_queue() -> None:
    task = little.pretraining(validation=[little.batch(seed=1), little.batch(seed=2)]).eval()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    first = task.evaluate()
    assert_close(task.state_dict(), before)
    step(task, little.batch(seed=3))
    assert task.evaluate() == first
    assert first["validation_itc_blind"] == pytest.approx(math.log(5))


def test_where_all_captions_are_the_same_there_are_no_negatives() -> None:
    task = little.pretraining(little.only("itm"))
    batch = little.batch()
    logs = step(task, replace(batch, caption_ids=torch.full_like(batch.caption_ids, 3)))
    assert math.isfinite(logs["itm"])
    assert logs["itm_blind"] == logs["hard_negative_entropy"] == 0


def test_matching_sees_one_pair_in_three_together() -> None:
    logs = step(little.pretraining(), little.batch())
    entropy = math.log(3) - 2 / 3 * math.log(2)
    assert logs["itm_blind"] == pytest.approx(entropy)
    assert 0 < logs["hard_negative_entropy"] < math.log(4)


@pytest.mark.parametrize("places", [(), (1,), (2,), (0, 2)])
@pytest.mark.parametrize("update", ["replace", "add"])
def test_the_text_alone_is_the_text_of_the_whole_fusion(
    places: tuple[int, ...], update: str
) -> None:
    fusion = FusionConfig.model_validate(
        {"num_layers": 3, "connected_at": places, "image_update": update}
    )
    model, batch = little.model(fusion=fusion).eval(), little.batch()
    image, text = model.encode_image(batch.pixels), model.encode_text(batch.ids, batch.mask)
    whole = model.fuse(text, image, batch.mask)[1]
    only = model.fuse_text(text, image, batch.mask)
    assert_close(only[batch.mask], whole[batch.mask], atol=1e-5, rtol=0)


# --- prefix LM ---


def test_with_an_empty_prefix_prefix_lm_is_captioning() -> None:
    task = little.pretraining(little.only("prefix_lm", empty_prefix_share=1.0)).eval()
    writer = little.finetuning("caption").eval()
    writer.model.load_state_dict(task.model.state_dict())
    batch = little.batch()
    caption = writer(little.captions(batch), 0).loss
    assert_close(task(batch, 0).loss, caption, atol=1e-6, rtol=0)


def test_the_memory_is_the_fused_image_and_prefix_or_the_image_as_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, batch = little.pretraining(little.only("prefix_lm")).eval(), little.batch()
    read: list[Tensor] = []
    states = task.model.decoder.states

    def note(ids: Tensor, mask: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        read[:] = [ids, memory, memory_mask]
        return states(ids, mask, memory, memory_mask)

    monkeypatch.setattr(task.model.decoder, "states", note)
    task(batch, 0)
    ids, memory, mask = read
    image = task.model.encode_image(batch.pixels)
    lengths = mask[:, little.PATCHES :].sum(dim=1) - 1  # of the prefixes; -1 where there is none
    assert lengths.min() == -1
    assert lengths.max() > 0
    for row, length in enumerate(lengths.clamp(min=0).tolist()):
        words = batch.ids[row][batch.mask[row]]
        assert ids[row][: len(words) - length - 1].tolist() == [
            words[0],
            *words[length + 1 : -1].tolist(),
        ]
        expected = image[row]
        if length:
            prefix, seen = words[None, : length + 1], torch.ones(1, length + 1, dtype=torch.bool)
            text = task.model.encode_text(prefix, seen)
            expected = torch.cat(task.model.fuse(text, image[row : row + 1], seen), dim=1)[0]
        assert_close(memory[row][mask[row]], expected, atol=1e-5, rtol=0)


# --- what changes nothing ---


def test_padding_changes_no_loss() -> None:
    task, batch = little.pretraining().eval(), little.batch((3, 1, 7, 4, 6))
    padded = replace(
        batch,
        ids=nn.functional.pad(batch.ids, (0, 2), value=little.tokenizer().pad_id),
        mask=nn.functional.pad(batch.mask, (0, 2)),
    )
    assert_close(losses(task, padded), losses(task, batch), atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_losses_bit_for_bit() -> None:
    def run(seed: int) -> list[dict[str, float]]:
        task = little.pretraining(seed=seed)
        optimizer = torch.optim.AdamW(task.parameters(), lr=0.01)
        logs = []
        for number in range(3):
            logs.append(step(task, little.batch(seed=number), number))
            optimizer.step()
            optimizer.zero_grad()
        return logs

    assert run(3) == run(3) != run(4)


def test_the_parts_of_a_step_and_the_steps_draw_differently() -> None:
    task, batch = little.pretraining(little.only("mlm")).eval(), little.batch()
    task.before_step(0)
    first, second = (task(batch, 0).loss.item() for _ in range(2))
    task.before_step(0)
    again, later = (task(batch, number).loss.item() for number in (0, 1))
    assert first == again
    assert len({first, second, later}) == 3


# --- blind ---


def test_blind_asks_for_the_same_words_of_blank_pictures() -> None:
    task, batch = little.pretraining().eval(), little.batch()
    blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
    logs = task.pairs.losses(task.model, blank, 5, names=little.ALL, part=0, remember=False)[1]
    assert task.blind(batch, 5) == pytest.approx(
        {f"{name}_blind": float(logs[name]) for name in ("mlm", "prefix_lm")}
    )


def test_looking_away_changes_nothing_that_follows() -> None:
    batch, other = little.batch(), little.pretraining()
    task = little.pretraining()
    task.before_step(0)
    task.eval()
    task.blind(batch, 0)
    task.train()
    other.before_step(0)
    assert torch.equal(task(batch, 0).loss, other(batch, 0).loss)


def test_only_objectives_that_are_on_are_judged() -> None:
    batches = [little.batch(seed=1), little.batch(seed=2)]
    task = little.pretraining(little.only("itc", "mlm"), validation=batches).eval()
    found = task.evaluate()
    assert {name for name in found if name.startswith("learned")} == {"learned_itc", "learned_mlm"}
    assert set(task.blind(batches[0], 0)) == {"mlm_blind"}


def test_a_queue_of_no_length_is_no_queue() -> None:
    task = little.pretraining(little.only("itc", queue_size=0))
    assert step(task, little.batch())["itc_blind"] == pytest.approx(math.log(5))
    assert momentum.NO_ID not in task.pairs.queue.image_ids


def test_recall_takes_the_same_caption_or_picture_for_as_right() -> None:
    # Both batches hold the same pictures, as a small validation set gone round again does.
    batch = little.batch()
    alike = replace(batch, caption_ids=torch.full_like(batch.caption_ids, 3))
    task = little.pretraining(little.only("itc"), validation=[batch, batch]).eval()
    apart = task.evaluate()
    task.validation = lambda: [alike, alike]
    together = task.evaluate()
    for way in ("image_to_text", "text_to_image"):
        assert apart[f"validation_recall_at_1_{way}"] < 1
        assert together[f"validation_recall_at_1_{way}"] == 1
    with torch.no_grad():  # now everything has one vector: chance, and not less for the repeats
        task.model.image_projection.weight.zero_()
        task.model.text_projection.weight.zero_()
    assert task.evaluate()["validation_recall_at_1_image_to_text"] == 1
    task.validation = lambda: [batch, batch]
    assert task.evaluate()["validation_recall_at_1_image_to_text"] == pytest.approx(1 / 5)
