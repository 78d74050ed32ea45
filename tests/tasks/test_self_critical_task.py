"""Self-critical training: what is drawn, what it scores, and which way the captions move."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mplug.config.schema import GenerationConfig, SelfCriticalConfig
from mplug.data.items import TaskBatch
from mplug.metrics.captions import CiderD, DocumentFrequency
from mplug.metrics.ptb import ptb_tokens
from mplug.tasks.self_critical import FREQUENCY_FILE, SelfCritical, read_frequency
from tests.tasks import little

WRITTEN = (("n s e", "t n"), ("f s", "o e"), ("e t n",), ("s n f",))  # a letter is a word here
FREQUENCY = DocumentFrequency.of([[ptb_tokens(text) for text in texts] for texts in WRITTEN])


def learner(validation: tuple[TaskBatch, ...] = (), **settings: object) -> SelfCritical:
    model = little.model(skills=("caption",))
    known = [little.tokenizer().encode(word)[0] for text in WRITTEN for word in text[0].split()]
    with torch.no_grad():  # words that people wrote, so that captions score at all
        model.decoder.head.bias[:] = -9.0
        model.decoder.head.bias[[*known, little.tokenizer().sep_id]] = 3.0
    return SelfCritical(
        model,
        settings=SelfCriticalConfig.model_validate({"samples": 3, **settings}),
        generation=GenerationConfig(beams=2, max_tokens=6),
        tokenizer=little.tokenizer(),
        frequency=FREQUENCY,
        optim=little.OPTIM,
        seed=5,
        processes=little.ALONE,
        validation=lambda: validation,
    )


def pictures(seed: int = 0) -> TaskBatch:
    batch = little.task_batch((3, 5), seed=seed, names=["caption"])
    items = replace(batch.items["caption"], references=WRITTEN)
    return replace(batch, items={"caption": items})


def test_only_what_writes_captions_learns_and_never_in_training_mode() -> None:
    task = learner().train()
    assert not any(module.training for module in task.modules())
    task.before_step(0)
    torch.autograd.backward(task(pictures(), 0).loss)
    trained = {name.split(".")[1] for name in little.gradients(task)}
    assert trained == {"vision", "visual_projection", "decoder"}


def test_the_same_step_draws_the_same_and_another_draws_others() -> None:
    task = learner()
    rewards = []
    for step in (0, 0, 1):
        task.before_step(step)
        rewards.append(task(pictures(), step).logs["reward"].item())
    assert rewards[0] == rewards[1] != rewards[2]


def test_a_reward_is_the_cider_of_the_words_against_the_pictures_references() -> None:
    task, batch = learner(), pictures()
    memory = task.model.encode_image(batch.pixels)[batch.items["caption"].images[:, 0]]
    ids, rewards = task._draw(memory, WRITTEN, 0)
    scorer = CiderD(FREQUENCY)
    expected = [
        scorer.score(
            ptb_tokens(little.tokenizer().decode(said)),
            [ptb_tokens(text) for text in WRITTEN[place // 3]],
        )
        for place, said in enumerate(ids)
    ]
    assert_close(rewards.flatten(), torch.tensor(expected))


def test_a_caption_is_scored_as_it_was_drawn() -> None:
    """The score with gradient is the mean of what each token had when it was drawn."""
    task, batch = learner(), pictures()
    memory = task.model.encode_image(batch.pixels)[batch.items["caption"].images[:, 0]]
    ids, _ = task._draw(memory, WRITTEN, 0)
    said = task._said(memory, ids, 3).flatten()
    for row, words in enumerate(ids):
        logits = task.model.decode(torch.tensor([words[:-1]]), None, memory[row // 3][None])
        each = logits[0].log_softmax(dim=-1).gather(1, torch.tensor(words[1:])[:, None])
        assert_close(said[row], each.mean(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("baseline", ["leave_one_out", "mean", "greedy"])
@pytest.mark.parametrize("draw", ["sample", "beam"])
def test_captions_that_beat_their_baseline_become_likelier(baseline: str, draw: str) -> None:
    task, batch = learner(baseline=baseline, draw=draw), pictures()
    memory = task.model.encode_image(batch.pixels)[batch.items["caption"].images[:, 0]]
    ids, rewards = task._draw(memory.detach(), WRITTEN, 0)
    gain = rewards - task._baseline(memory.detach(), WRITTEN, rewards)
    before = task._said(memory, ids, 3)
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.01)
    task.before_step(0)
    torch.autograd.backward(task(batch, 0).loss)
    optimizer.step()
    memory = task.model.encode_image(batch.pixels)[batch.items["caption"].images[:, 0]]
    moved = task._said(memory, ids, 3) - before
    assert gain.abs().sum() > 0
    assert float((moved.detach() * gain).sum()) > 0


def test_validation_is_scored_as_captions_are_written() -> None:
    found = learner(validation=(pictures(8), pictures(9))).evaluate()
    assert found.keys() == {"validation_cider_d"}
    assert 0 <= found["validation_cider_d"] <= 10


def test_blind_is_what_captions_of_a_blank_picture_score() -> None:
    task = learner()
    assert task.blind(pictures(), 0).keys() == {"reward_blind"}


def test_document_frequencies_are_kept_with_the_run(tmp_path: Path) -> None:
    for name, write in learner().files().items():
        write(tmp_path / name)
    assert read_frequency(tmp_path / FREQUENCY_FILE) == FREQUENCY
