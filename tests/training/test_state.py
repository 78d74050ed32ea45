"""What is saved comes back exactly, and what does not fit is named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mplug.errors import CheckpointError
from mplug.training.checkpoints import Checkpoint
from mplug.training.optim import build_optimizer
from mplug.training.state import OPTIMIZER, TASK, Progress, TrainingState
from tests.training.toy import ALONE, Toy, toy_batches


def state_after(steps: int, *, task: Toy | None = None) -> TrainingState:
    task = Toy() if task is None else task
    optimizer = build_optimizer(
        task.parameter_groups(), weight_decay=0.1, betas=(0.9, 0.99), device=ALONE.device
    )
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    batches = toy_batches()(0)
    for step in range(steps):
        task(next(batches), step).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return TrainingState(task, optimizer, Progress(step=steps, blind={"toy_blind": 0.1 + 0.2}))


def save(state: TrainingState, folder: Path) -> Checkpoint:
    for name, writer in state.writers().items():
        writer(folder / name)
    return Checkpoint(state.progress.step, folder)


def tensors(state: TrainingState) -> dict[str, Tensor]:
    values = dict(state.task.state_dict())
    for parameter_name, parameter in state.task.named_parameters():
        for what, value in state.optimizer.state.get(parameter, {}).items():
            values[f"{what} of {parameter_name}"] = value
    return values


def test_everything_comes_back_bit_for_bit(tmp_path: Path) -> None:
    before, after = state_after(3), state_after(0)
    after.restore(save(before, tmp_path))
    assert after.progress == before.progress
    assert tensors(after).keys() == tensors(before).keys() >= {"exp_avg_sq of first.bias", "seen"}
    for name, value in tensors(before).items():
        assert torch.equal(tensors(after)[name], value), name


def test_every_parameter_has_averages_before_the_first_update(tmp_path: Path) -> None:
    save(state_after(0), tmp_path)
    averages = load_file(tmp_path / OPTIMIZER)
    assert {name for name in averages if name.startswith("exp_avg:")} == {
        f"exp_avg:{name}"
        for name, parameter in state_after(0).task.named_parameters()
        if parameter.requires_grad
    }
    assert not any(value.any() for value in averages.values())


def test_averages_that_a_file_lacks_begin_at_their_first_update(tmp_path: Path) -> None:
    before = state_after(2)
    checkpoint = save(before, tmp_path)
    averages = load_file(tmp_path / OPTIMIZER)
    kept = {name: value for name, value in averages.items() if "sometimes" not in name}
    save_file(kept, tmp_path / OPTIMIZER)
    after = state_after(0)
    after.restore(checkpoint)
    assert "exp_avg of sometimes.weight" not in tensors(after)
    for _, parameter in after.task.named_parameters():
        parameter.grad = torch.ones_like(parameter)
    after.optimizer.step()
    assert tensors(after).keys() == tensors(before).keys()


def test_expected_bytes_are_those_written(tmp_path: Path) -> None:
    state = state_after(2)
    save(state, tmp_path)
    written = sum((tmp_path / name).stat().st_size for name in (TASK, OPTIMIZER))
    assert state.expected_bytes() <= written <= state.expected_bytes() + 8000  # headers


class Tied(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(5, 7)
        self.again.weight = self.first.weight


def test_tied_parameters_are_saved_and_stay_tied(tmp_path: Path) -> None:
    before, after = state_after(2, task=Tied()), state_after(0, task=Tied())
    after.restore(save(before, tmp_path))
    assert isinstance(after.task, Tied)
    assert after.task.again.weight is after.task.first.weight
    assert torch.equal(
        after.task.state_dict()["again.weight"], before.task.state_dict()["first.weight"]
    )


def test_missing_unexpected_and_reshaped_tensors_are_all_named(tmp_path: Path) -> None:
    state = state_after(1)
    checkpoint = save(state, tmp_path)
    saved = load_file(tmp_path / TASK)
    saved["foreign"] = saved.pop("seen")
    saved["second.bias"] = torch.zeros(4)
    save_file(saved, tmp_path / TASK)
    expected = (
        r"Missing: \['seen'\]; unexpected: \['foreign'\].*second.bias: \[4\] saved, \[3\] in the"
    )
    with pytest.raises(CheckpointError, match=expected):
        state.restore(checkpoint)


def test_an_average_of_an_unknown_parameter_is_named(tmp_path: Path) -> None:
    state = state_after(1)
    checkpoint = save(state, tmp_path)
    save_file({"exp_avg:ghost": torch.zeros(1)}, tmp_path / OPTIMIZER)
    with pytest.raises(CheckpointError, match="'exp_avg:ghost'"):
        state.restore(checkpoint)
