"""The loop: resumes exactly, stops before bad numbers, says what happens, and costs no waiting."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mplug.config.schema import OptimConfig, TrainConfig
from mplug.errors import CheckpointError, TrainingError
from mplug.training import state
from mplug.training.guard import FiniteGuard
from mplug.training.interrupts import Interrupted
from mplug.training.loop import train
from mplug.training.run import RunDirectory, open_run
from tests.training.toy import (
    ALONE,
    OPTIM,
    SETTINGS,
    STEPS,
    Toy,
    ToyBatch,
    fingerprint,
    run_toy,
    toy_batches,
)


def optim(**changes: Any) -> OptimConfig:
    return OPTIM.model_copy(update=changes)


def settings(**changes: Any) -> TrainConfig:
    return SETTINGS.model_copy(update=changes)


def metrics(path: Path) -> list[dict[str, Any]]:
    """The run's lines without what depends on the time of day."""
    lines = [json.loads(line) for line in RunDirectory(path).metrics.read_text().splitlines()]
    clock = {"examples_per_second", "seconds", "seconds_left"}
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


def stopping_at(step: int, number: signal.Signals = signal.SIGTERM) -> Toy:
    """A toy whose process is asked to stop while `step` is being done."""
    task = Toy(dropout=0.1)

    def stop(now: int) -> None:
        if now == step:
            os.kill(os.getpid(), number)

    task.at_step = stop
    return task


# --- resuming ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_toy(path)
    return path


@pytest.mark.parametrize("step", range(STEPS - 1))
def test_interrupted_and_resumed_equals_uninterrupted(
    step: int, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    with pytest.raises(Interrupted, match=f"after step {step + 1} of {STEPS}"):
        run_toy(path, task=stopping_at(step))
    outcome = run_toy(path)
    assert outcome.step == STEPS
    assert fingerprint(path) == fingerprint(whole)
    assert metrics(path) == metrics(whole)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_interrupted_many_times_equals_uninterrupted(
    precision: str, accumulate: int, tmp_path: Path
) -> None:
    config = optim(precision=precision, accumulate=accumulate)
    run_toy(tmp_path / "whole", optim=config)
    for step in (0, 1, 4, 5, 8):
        with pytest.raises(Interrupted):
            run_toy(tmp_path / "pieces", task=stopping_at(step), optim=config)
    run_toy(tmp_path / "pieces", optim=config)
    assert fingerprint(tmp_path / "pieces") == fingerprint(tmp_path / "whole")


def test_a_crash_costs_the_steps_since_the_last_checkpoint(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    task = Toy(dropout=0.1)

    def crash(step: int) -> None:
        if step == 7:
            raise ZeroDivisionError

    task.at_step = crash
    with pytest.raises(ZeroDivisionError):
        run_toy(path, task=task)
    resumed = Toy(dropout=0.1)
    run_toy(path, task=resumed)
    assert len(resumed.losses) == STEPS - 6
    assert fingerprint(path) == fingerprint(whole)
    assert metrics(path) == metrics(whole)


@pytest.mark.parametrize(
    "forgotten", ["_restore_optimizer", "the task", "the seed"], ids=lambda name: name.strip("_")
)
def test_the_control_a_resume_that_forgets_something_is_noticed(
    forgotten: str, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_toy(path, task=stopping_at(5))
    if forgotten == "_restore_optimizer":
        with mock.patch.object(state, forgotten):
            run_toy(path)
    elif forgotten == "the task":
        with mock.patch.object(Toy, "load_state_dict"):
            run_toy(path)
    else:
        run_toy(path, settings=settings(seed=1))
    assert fingerprint(path) != fingerprint(whole)


def test_how_often_a_run_evaluates_logs_and_looks_away_changes_no_weight(
    whole: Path, tmp_path: Path
) -> None:
    often = settings(evaluate_every=1, blind_every=1, log_every=1, save_every=5)
    run_toy(tmp_path / "run", settings=often)
    assert fingerprint(tmp_path / "run") == fingerprint(whole)


def test_another_seed_draws_other_dropout(whole: Path, tmp_path: Path) -> None:
    run_toy(tmp_path / "run", settings=settings(seed=1))
    assert fingerprint(tmp_path / "run") != fingerprint(whole)


def test_a_finished_run_asked_again_does_nothing(tmp_path: Path) -> None:
    first = run_toy(tmp_path / "run")
    lines, again = metrics(tmp_path / "run"), Toy()
    assert run_toy(tmp_path / "run", task=again) == first
    assert again.losses == []
    assert metrics(tmp_path / "run") == lines


class Listener:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.lines: list[Any] = []
        self.closed = 0

    def start(self, *, step: int, steps: int) -> None:
        self.notes.append(f"start {step} {steps}")

    def line(self, line: Any) -> None:
        self.lines.append(line)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        self.closed += 1


def test_a_damaged_checkpoint_is_skipped_and_said(whole: Path, tmp_path: Path) -> None:
    path, listener = tmp_path / "run", Listener()
    with pytest.raises(Interrupted):
        run_toy(path, task=stopping_at(6))
    damaged = RunDirectory(path).checkpoints(keep=2).folder_of(7) / "task.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    run_toy(path, reporters=[listener])
    assert listener.notes[0] == f"start 6 {STEPS}"
    assert "skipped a damaged checkpoint" in listener.notes[1]
    assert "task.safetensors" in listener.notes[1]
    assert fingerprint(path) == fingerprint(whole)


# --- being stopped ---


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_step_with_its_own_exit_code(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    before, listener = signal.getsignal(number), Listener()
    with pytest.raises(Interrupted, match=f"stopped by {number.name} after step 4") as caught:
        run_toy(tmp_path / "run", task=stopping_at(3, number), reporters=[listener])
    assert caught.value.exit_code == code
    assert listener.closed == 1
    assert signal.getsignal(number) == before


def test_a_signal_during_evaluation_saves_at_once_and_the_evaluation_is_kept(
    whole: Path, tmp_path: Path
) -> None:
    path, task = tmp_path / "run", Toy(dropout=0.1)
    with (
        mock.patch.object(task, "evaluate", side_effect=lambda: stop_and(task)),
        pytest.raises(Interrupted, match="after step 6"),
    ):
        run_toy(path, task=task)
    run_toy(path)
    assert fingerprint(path) == fingerprint(whole)
    assert metrics(path) == metrics(whole)


def stop_and(task: Toy) -> Any:
    os.kill(os.getpid(), signal.SIGTERM)
    return Toy.evaluate(task)


def test_batches_that_end_too_early_are_an_error(tmp_path: Path) -> None:
    with (
        open_run(tmp_path / "run", config={}, processes=ALONE) as run,
        pytest.raises(TrainingError, match=f"ended at step 5 of {STEPS}"),
    ):
        train(Toy(), toy_batches(end=5), optim=OPTIM, settings=SETTINGS, run=run, processes=ALONE)


# --- bad numbers ---


def test_a_huge_rate_stops_before_the_update_and_the_last_checkpoint_is_finite(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    task = Toy(lr=1e20)
    with pytest.raises(TrainingError, match=r"step \d+: the loss or its gradient is not finite"):
        run_toy(path, task=task, settings=settings(save_every=1), optim=optim(clip_norm=1e9))
    restored = Toy()
    found = RunDirectory(path).checkpoints(keep=1).latest().checkpoint
    assert found is not None
    assert found.step == len(task.losses) - 1
    weights = state.load_tensors(found.folder / state.TASK, like=restored.state_dict())
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_a_tiny_rate_runs_on(tmp_path: Path) -> None:
    assert run_toy(tmp_path / "run", task=Toy(lr=1e-10)).step == STEPS


def spoiled_gradient(step: int) -> Toy:
    """A toy in which one gradient is not a number at `step`, though the loss is fine."""
    task, now = Toy(), [0]
    task.at_step = lambda step: now.__setitem__(0, step)
    task.second.weight.register_hook(  # type: ignore[no-untyped-call]
        lambda gradient: gradient * (float("nan") if now[0] == step else 1.0)
    )
    return task


def test_one_bad_gradient_is_named_and_nothing_is_updated(tmp_path: Path) -> None:
    task = spoiled_gradient(4)
    with pytest.raises(TrainingError, match=r"step 4: .*toy 0\.\d+.*in 1 tensors, first second.w"):
        run_toy(tmp_path / "run", task=task)
    at_four = Toy()
    run_toy(tmp_path / "four", task=at_four, optim=optim(lr=0.01), settings=settings(keep=9))
    saved = state.load_tensors(
        RunDirectory(tmp_path / "four").checkpoints(keep=1).folder_of(4) / state.TASK, like=None
    )
    assert torch.equal(task.second.weight, saved["second.weight"])


def test_the_control_without_the_guard_the_weights_are_spoiled(tmp_path: Path) -> None:
    task = spoiled_gradient(4)
    with mock.patch.object(FiniteGuard, "watch"):
        run_toy(tmp_path / "run", task=task)
    assert bool(torch.isnan(task.first.weight).any())


@pytest.fixture
def _delayed() -> Iterator[None]:
    """The guard as it works on a GPU: the device skips updates, the host looks now and then."""
    made = FiniteGuard.__init__

    def delayed(guard: FiniteGuard, *arguments: Any, **options: Any) -> None:
        made(guard, *arguments, **options)
        guard.immediate = False

    with mock.patch.object(FiniteGuard, "__init__", delayed):
        yield


@pytest.mark.usefixtures("_delayed")
def test_a_guard_read_late_still_kept_the_bad_update_and_all_later_ones_out(
    tmp_path: Path,
) -> None:
    task = spoiled_gradient(4)
    with pytest.raises(TrainingError, match="step 4"):
        run_toy(tmp_path / "run", task=task, settings=settings(log_every=9, save_every=9))
    assert len(task.losses) > 5
    good = Toy()
    run_toy(tmp_path / "good", task=good, settings=settings(keep=9))
    saved = state.load_tensors(
        RunDirectory(tmp_path / "good").checkpoints(keep=1).folder_of(4) / state.TASK, like=None
    )
    assert torch.equal(task.first.weight, saved["first.weight"])


class HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often a number travels from the device to the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("_delayed")
def test_the_host_reads_numbers_only_on_logging_steps(tmp_path: Path) -> None:
    task, reads = Toy(), HostReads()
    counts: list[int] = []
    task.at_step = lambda step: counts.append(reads.count)
    rarely = settings(log_every=4, blind_every=100, evaluate_every=100, save_every=100)
    with reads:
        run_toy(tmp_path / "run", task=task, settings=rarely)
    between = [after - before for before, after in zip(counts, counts[1:], strict=False)]
    reading = [step for step, count in enumerate(between) if count]
    assert [step for step in reading if step > 0] == [3, 7]  # 0 measures blind


# --- numbers ---


def test_accumulated_parts_equal_one_batch_for_a_plain_mean_loss(tmp_path: Path) -> None:
    whole, parts = Toy(), Toy()
    run_toy(tmp_path / "whole", task=whole, optim=optim(batch_size=8))
    with open_run(tmp_path / "parts", config={}, processes=ALONE) as run:
        train(
            parts,
            halves,
            optim=optim(batch_size=8, accumulate=2),
            settings=SETTINGS,
            run=run,
            processes=ALONE,
        )
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


def halves(start: int) -> Iterator[ToyBatch]:
    assert start % 2 == 0
    for batch in toy_batches(size=8)(start // 2):
        yield ToyBatch(batch.inputs[:4], batch.labels[:4])
        yield ToyBatch(batch.inputs[4:], batch.labels[4:])


def test_the_toy_learns_and_each_line_shows_its_loss_beside_the_blind_value(
    tmp_path: Path,
) -> None:
    listener = Listener()
    outcome = run_toy(
        tmp_path / "run",
        optim=optim(steps=300),
        settings=settings(log_every=100, blind_every=100, evaluate_every=200, save_every=300),
        reporters=[listener],
    )
    assert outcome.evaluation["accuracy"] > 0.8
    kinds = [(line["kind"], line["step"]) for line in listener.lines]
    assert kinds == [
        ("train", 100),
        ("train", 200),
        ("evaluation", 200),
        ("train", 300),
        ("evaluation", 300),
    ]
    last = listener.lines[3]
    assert last["toy"] < 0.8 < last["toy_blind"]
    assert last["examples_per_second"] > 0
    assert last["seconds_left"] == 0
    assert 0 < outcome.seconds < 60


def test_a_full_disk_ends_the_run_with_the_checkpoint_before_intact(
    whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    full = mock.patch.object(state, "save_file", side_effect=OSError(28, "No space left"))
    task = Toy(dropout=0.1)

    def fill(step: int) -> None:
        if step == 5:
            full.start()

    task.at_step = fill
    with pytest.raises(CheckpointError, match="No space left.*bytes and .* are free"):
        run_toy(path, task=task)
    full.stop()
    run_toy(path)
    assert fingerprint(path) == fingerprint(whole)
