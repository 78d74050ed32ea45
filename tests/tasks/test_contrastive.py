import math
import socket
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from mplug.models.clip import MAX_LOGIT_SCALE
from mplug.tasks.contrastive import ContrastivePretraining, clamp_logit_scale
from mplug.training.distributed import Processes
from mplug.training.optim import check_groups
from mplug.training.task import Task
from tests.tasks.contrastive_worker import PAIRS, learn, learn_as, pairs, task_of
from tests.training.workers import codes, start

ALONE = Processes()


def gradients(task: ContrastivePretraining) -> dict[str, Tensor]:
    task.zero_grad()
    torch.autograd.backward(task(pairs(), 0).loss)
    return {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


def test_it_is_a_task() -> None:
    assert isinstance(task_of(ALONE), Task)


def test_the_loss_is_the_mean_of_both_cross_entropies_with_the_diagonal_as_target() -> None:
    task, batch = task_of(ALONE), pairs()
    model = task.model
    logits = model.logits(
        model.encode_image(batch.pixels), model.encode_text(batch.ids, batch.mask)
    )
    diagonal = torch.arange(PAIRS)
    expected = (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)) / 2
    result = task(batch, 0)
    assert_close(result.loss, expected)
    assert result.logs["itc_blind"].item() == pytest.approx(math.log(PAIRS))
    assert_close(result.logs["temperature"], (-model.logit_scale).exp())


def test_the_same_picture_or_text_again_is_as_right() -> None:
    task, apart, again = task_of(ALONE), pairs(), pairs(twice=True)
    for batch in (apart, again):  # pairs 1 and 6 look and read alike
        batch.pixels[6], batch.ids[6], batch.mask[6] = batch.pixels[1], batch.ids[1], batch.mask[1]
    with torch.no_grad():
        assert task(again, 0).logs["itc_accuracy"] >= task(apart, 0).logs["itc_accuracy"]
        model = task.model
        logits = model.logits(
            model.encode_image(again.pixels), model.encode_text(again.ids, again.mask)
        )
        shares = torch.eye(PAIRS)
        for one, other in ((1, 6), (2, 5)):
            shares[one, other] = shares[other, one] = 1
        shares = shares / shares.sum(dim=1, keepdim=True)
        both = F.cross_entropy(logits, shares) + F.cross_entropy(logits.T, shares)
        assert_close(task(again, 0).loss, both / 2)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_cached_gradients_are_those_of_the_whole_batch(parts: int) -> None:
    whole, cached = task_of(ALONE), task_of(ALONE, parts=parts)
    assert_close(cached(pairs(), 0).loss, whole(pairs(), 0).loss, atol=1e-5, rtol=0)
    assert_close(gradients(cached), gradients(whole), atol=1e-5, rtol=1e-5)


def test_cached_gradients_keep_one_part_in_memory() -> None:
    kept = {}
    for parts in (1, 4):
        task = task_of(ALONE, parts=parts)
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            task(pairs(), 0)
        kept[parts] = sum(sizes)
    assert kept[4] < kept[1] / 4


@pytest.mark.parametrize("parts", [1, 2])
def test_two_processes_equal_one(parts: int, tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    running = [start(learn_as, rank, 2, port, tmp_path, parts) for rank in range(2)]
    try:
        learn(ALONE, tmp_path, 1)
        assert codes(running) == [0, 0]
    finally:
        for process in running:
            process.kill()
    expected, found = (load_file(tmp_path / f"{world}.safetensors") for world in (1, 2))
    assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("given", "kept"), [(-1.0, 0.0), (2.0, 2.0), (9.0, math.log(100))])
def test_the_log_scale_stays_between_0_and_log_100(given: float, kept: float) -> None:
    model = task_of(ALONE).model
    with torch.no_grad():
        model.logit_scale.fill_(given)
    clamp_logit_scale(model)
    assert model.logit_scale.item() == pytest.approx(kept)
    assert pytest.approx(math.log(100)) == MAX_LOGIT_SCALE


def test_evaluation_says_loss_blind_value_and_recall() -> None:
    figures = task_of(ALONE).evaluate()
    assert figures["validation_itc_blind"] == pytest.approx(math.log(PAIRS))
    assert {"validation_itc", "learned_itc", "validation_recall_at_1_image_to_text"} <= set(figures)


def test_every_parameter_has_a_rate_and_tables_are_spared_decay() -> None:
    task = task_of(ALONE)
    groups = task.parameter_groups()
    check_groups(groups, trainable=list(task.named_parameters()))
    assert groups[0].undecayed == {
        "model.vision.positions",
        "model.text_encoder.words.weight",
        "model.text_encoder.positions",
    }
