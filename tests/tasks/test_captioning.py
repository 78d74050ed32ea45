"""Caption fine-tuning: what learns, what stays, and what a caption costs."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema import OptimConfig
from mplug.objectives.prefix_lm import next_word_losses
from mplug.tasks.finetune import Finetuning
from tests.tasks import little

FROZEN = little.OPTIM.model_copy(update={"vision_lr": 0.0})


def captioning(
    *, seed: int = 0, optim: OptimConfig = little.OPTIM, label_smoothing: float = 0.0
) -> Finetuning:
    return little.finetuning(
        "caption",
        seed=seed,
        optim=optim,
        label_smoothing=label_smoothing,
        validation=[little.captions(little.batch(seed=seed)) for seed in (8, 9)],
    )


def train_once(task: Finetuning) -> None:
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=0.1)
    task.train()
    task.before_step(0)
    torch.autograd.backward(task(little.captions(little.batch()), 0).loss)
    optimizer.step()
    task.after_step()


def parts(names: list[str]) -> set[str]:
    return {name.split(".")[1] for name in names}


def test_only_what_writes_captions_is_trained() -> None:
    task = captioning()
    train_once(task)
    trained = list(little.gradients(task))
    assert parts(trained) == {"vision", "visual_projection", "decoder"}
    assert trained == [name for name, p in task.named_parameters() if p.requires_grad]


def test_with_a_frozen_image_encoder_only_the_decoder_is_trained() -> None:
    task = captioning(optim=FROZEN)
    train_once(task)
    assert parts(list(little.gradients(task))) == {"decoder"}


def test_a_frozen_image_encoder_leaves_search_and_matching_as_they_were_to_the_last_bit() -> None:
    task, batch = captioning(optim=FROZEN), little.batch(seed=1)

    def answers() -> list[Tensor]:
        model = task.model.eval()
        image, text = model.encode_image(batch.pixels), model.encode_text(batch.ids, batch.mask)
        fused = model.fuse_text(text, image, batch.mask)
        found = [model.image_embedding(image), model.text_embedding(text), model.match(fused)]
        return [each.detach() for each in found]

    before, decoder = answers(), task.model.decoder.head.transform.weight.detach().clone()
    train_once(task)
    assert all(torch.equal(*pair) for pair in zip(before, answers(), strict=True))
    assert not torch.equal(decoder, task.model.decoder.head.transform.weight)


def test_a_learning_image_encoder_does_change() -> None:
    task, batch = captioning(), little.batch(seed=1)
    before = task.model.eval().encode_image(batch.pixels).detach()
    train_once(task)
    assert not torch.equal(before, task.model.eval().encode_image(batch.pixels))


def test_the_loss_is_the_mean_over_all_words_and_ends() -> None:
    task, batch = captioning().eval(), little.batch((3, 1, 7))
    memory = task.model.encode_image(batch.pixels)
    each = []
    for row, seen in enumerate(batch.mask):
        words = batch.ids[row][seen]
        logits = task.model.decode(words[None, :-1], None, memory[row : row + 1])[0]
        each.append(next_word_losses(logits, words[1:]))
    assert [len(losses) for losses in each] == [4, 2, 8]
    assert_close(task(little.captions(batch), 0).loss, torch.cat(each).mean(), atol=1e-5, rtol=0)


def test_padding_changes_no_loss() -> None:
    task, batch = captioning().eval(), little.batch((3, 1, 7, 4))
    padded = replace(
        batch,
        ids=torch.nn.functional.pad(batch.ids, (0, 2), value=little.tokenizer().pad_id),
        mask=torch.nn.functional.pad(batch.mask, (0, 2)),
    )
    assert_close(
        task(little.captions(padded), 0).loss,
        task(little.captions(batch), 0).loss,
        atol=1e-5,
        rtol=0,
    )


def test_what_is_logged_is_the_loss_without_smoothing() -> None:
    batch = little.batch()
    plain = captioning().eval()(little.captions(batch), 0)
    smooth = captioning(label_smoothing=0.2).eval()(little.captions(batch), 0)
    assert_close(smooth.logs, plain.logs)
    assert_close(plain.loss.detach(), plain.logs["caption"])
    assert not math.isclose(smooth.loss.item(), plain.loss.item())


def test_blind_is_the_cost_of_the_same_captions_beside_blank_pictures() -> None:
    task, batch = captioning().eval(), little.batch()
    blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
    expected = float(task(little.captions(blank), 0).logs["caption"])
    assert task.blind(little.captions(batch), 0) == {"caption_blind": pytest.approx(expected)}


def test_validation_is_judged() -> None:
    found = captioning().eval().evaluate()
    assert found.keys() == {"validation_caption", "validation_caption_blind", "learned_caption"}
    assert found["learned_caption"] == 0
