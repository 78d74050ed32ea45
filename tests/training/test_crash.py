"""Processes killed, signalled and competing: real ones."""

import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest import mock

import pytest

from mplug.errors import CheckpointError, TrainingError
from mplug.training import checkpoints
from mplug.training.checkpoints import TEMPORARY, Checkpoint, Checkpoints, Found, Writer
from mplug.training.run import RunDirectory
from tests.training.faults import fault_at
from tests.training.toy import STEPS, Toy, fingerprint, run_toy
from tests.training.workers import (
    codes,
    die_at_operation,
    hold,
    kill_self,
    signalled_twice,
    start,
)

NEVER = 10**9


def operations_of_the_second_save(path: Path) -> range:
    """The numbers, from 1, of the file operations between steps 3 and 4, where it happens."""
    task = Toy()
    seen: dict[int, int] = {}
    with fault_at(NEVER, kill_self) as counter:
        task.at_step = lambda step: seen.__setitem__(step, counter.operations)
        run_toy(path, task=task)
    return range(seen[3] + 1, seen[4] + 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run that nothing killed leaves."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_toy(path)
    return fingerprint(path)


def test_killed_at_any_file_operation_a_run_resumes_to_the_same_bits(
    whole: str, tmp_path: Path
) -> None:
    kills, unfinished, resumed_from = 0, 0, set()
    numbers = operations_of_the_second_save(tmp_path / "counted")
    assert len(numbers) > 12
    for number in numbers:
        path = tmp_path / f"run-{number}"
        kills += codes([start(die_at_operation, path, number)]) == [-signal.SIGKILL]
        unfinished += bool(list((path / "checkpoints").glob(f"{TEMPORARY}*")))
        resumed = Toy(dropout=0.1)
        run_toy(path, task=resumed)
        resumed_from.add(STEPS - len(resumed.losses))
        assert fingerprint(path) == whole, f"killed at operation {number}"
        assert not list((path / "checkpoints").glob(f"{TEMPORARY}*"))
    assert kills == len(numbers)
    assert unfinished > kills // 2
    assert resumed_from == {2, 4}  # the save that was killed counts once it is renamed


def careless_save(
    self: Checkpoints,
    step: int,
    *,
    writers: dict[str, Writer],
    expected_bytes: int,
    best_step: int | None,
) -> None:
    """The control: straight into the final folder, which is all that makes it count."""
    folder = self.folder_of(step)
    folder.mkdir(parents=True)
    for name, writer in writers.items():
        writer(folder / name)


def careless_latest(self: Checkpoints) -> Found:
    steps = self._steps()
    return Found(Checkpoint(*steps[-1]) if steps else None, [])


def die_carelessly(path: Path, number: int) -> None:
    with mock.patch.object(Checkpoints, "save", careless_save):
        die_at_operation(path, number)


def test_the_control_a_careless_saver_is_caught(tmp_path: Path) -> None:
    broken = []
    for number in range(3, 9):
        path = tmp_path / f"run-{number}"
        assert codes([start(die_carelessly, path, number)]) == [-signal.SIGKILL]
        with mock.patch.object(Checkpoints, "latest", careless_latest):
            try:
                run_toy(path)
            except (CheckpointError, FileNotFoundError):
                broken.append(number)
    assert broken


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    assert codes([start(signalled_twice, tmp_path / "run")]) == [128 + signal.SIGTERM]
    assert time.monotonic() - started < 10


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[ForkServerProcess]:
    """A process that trains in `run` and never ends by itself."""
    ready = tmp_path / "ready"
    process = start(hold, tmp_path / "run", ready)
    while not ready.exists():
        assert process.is_alive()
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_two_at_once_in_one_run_directory_the_second_names_the_first(
    owner: ForkServerProcess, tmp_path: Path
) -> None:
    for fresh in (False, True):
        with pytest.raises(TrainingError, match=rf"in use by process {owner.pid} on host \S+"):
            run_toy(tmp_path / "run", fresh=fresh)
    assert RunDirectory(tmp_path / "run").config.exists()


def test_the_lock_of_a_dead_process_is_taken_over(owner: ForkServerProcess, tmp_path: Path) -> None:
    owner.kill()
    owner.join()
    assert run_toy(tmp_path / "run").step == STEPS


@pytest.mark.usefixtures("owner")
def test_the_control_without_a_lock_both_would_train(tmp_path: Path) -> None:
    with mock.patch("fcntl.flock"):
        assert run_toy(tmp_path / "run").step == STEPS


def test_checkpoints_know_no_pickle() -> None:
    source = Path(checkpoints.__file__).parent
    for file in source.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "import pickle" not in text
        assert "torch.save" not in text
        assert "torch.load" not in text
