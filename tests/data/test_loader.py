import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mplug.data.batch import Batch, Example, Skipped, collate
from mplug.data.loader import Loader
from mplug.errors import ConfigError, DataError, TrainingError


class Numbers:
    """Examples that are their own position, and misbehave at the positions they are told."""

    def __init__(self, *, at: int | None = None, fault: str = "") -> None:
        self.at = at
        self.fault = fault
        self.parent = os.getpid()

    def __len__(self) -> int:
        return 117

    def example(self, position: int, *, seed: int) -> Example:
        if position == self.at:
            self.misbehave()
        random = np.random.default_rng((seed, position))
        return Example(
            pixels=random.normal(size=(3, 4, 4)).astype(np.float32),
            ids=[2, *random.integers(5, 90, size=int(random.integers(1, 7))).tolist(), 3],
            image_id=position,
            caption_id=position % len(self),
        )

    def misbehave(self) -> None:
        if self.fault == "data":
            raise DataError("row 7 is bad")
        if self.fault == "bug":
            raise KeyError("pixels")
        if self.fault == "hang":
            time.sleep(600)
        if self.fault == "killed" and os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)


def batches(*, start_step: int = 0, steps: int = 4, workers: int = 0) -> list[Batch]:
    loader = Loader(Numbers(), collate=collate, batch_size=6, seed=5, workers=workers)
    return list(loader.batches(start_step=start_step, steps=steps))


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.pixels, b.pixels)
        assert torch.equal(a.ids, b.ids)
        assert torch.equal(a.image_ids, b.image_ids)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    assert_same(batches(workers=workers), batches())


@settings(deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([1, 2, 3, 6]), st.integers(1, 3))
def test_processes_share_each_batch_and_any_step_can_come_first(
    start: int, world: int, steps: int
) -> None:
    whole = Loader(Numbers(), collate=collate, batch_size=6, seed=5).batches(
        start_step=start, steps=steps
    )
    parts = [
        Loader(Numbers(), collate=collate, batch_size=6, seed=5, rank=rank, world=world).batches(
            start_step=start, steps=steps
        )
        for rank in range(world)
    ]
    for step, (batch, *shares) in enumerate(zip(whole, *parts, strict=True), start=start):
        assert batch.image_ids.tolist() == list(range(step * 6, step * 6 + 6))
        assert torch.equal(torch.cat([share.pixels for share in shares]), batch.pixels)


def test_stopping_and_starting_again_misses_nothing() -> None:
    assert_same(batches(steps=3) + batches(start_step=3, steps=4), batches(steps=7))


def test_another_seed_gives_other_batches() -> None:
    other = next(Loader(Numbers(), collate=collate, batch_size=6, seed=6).batches(steps=1))
    assert not torch.equal(other.pixels, batches()[0].pixels)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch size 7 cannot be shared equally among 2"):
        Loader(Numbers(), collate=collate, batch_size=7, seed=0, world=2)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_the_data_arrives_as_it_was_raised(workers: int) -> None:
    loader = Loader(
        Numbers(at=8, fault="data"), collate=collate, batch_size=4, seed=0, workers=workers
    )
    with pytest.raises(DataError, match=r"^row 7 is bad$"):
        list(loader.batches(steps=4))


def test_a_fault_of_ours_in_a_worker_keeps_its_traceback() -> None:
    loader = Loader(Numbers(at=8, fault="bug"), collate=collate, batch_size=4, seed=0, workers=1)
    with pytest.raises(RuntimeError, match=r"(?s)at step 2:.*KeyError: 'pixels'"):
        list(loader.batches(steps=4))


def test_a_worker_that_is_killed_ends_the_run_with_an_error() -> None:
    loader = Loader(Numbers(at=8, fault="killed"), collate=collate, batch_size=4, seed=0, workers=2)
    start = time.monotonic()
    with pytest.raises(TrainingError, match="worker process was lost while reading step"):
        list(loader.batches(steps=8))
    assert time.monotonic() - start < 30


@pytest.mark.slow  # torch waits five seconds for the worker before it stops it
def test_a_worker_that_hangs_ends_the_run_with_an_error() -> None:
    loader = Loader(
        Numbers(at=8, fault="hang"),
        collate=collate,
        batch_size=4,
        seed=0,
        workers=1,
        timeout_seconds=1.0,
    )
    with pytest.raises(TrainingError, match="timed out"):
        list(loader.batches(steps=4))


def test_leaving_early_stops_the_workers() -> None:
    stream = Loader(Numbers(), collate=collate, batch_size=6, seed=0, workers=2).batches(steps=1000)
    next(stream)
    children = running_children()
    assert len(children) >= 2
    stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while running_children() & children and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running_children() & children


def running_children() -> set[int]:
    import multiprocessing

    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


class Broken(Numbers):
    """Every tenth item is replaced by its successor."""

    def example(self, position: int, *, seed: int) -> Example:
        found = super().example(position, seed=seed)
        if position % 10:
            return found
        skip = Skipped(position % len(self), f"{position % len(self)}.jpg", "empty")
        return Example(found.pixels, found.ids, found.image_id, found.caption_id, (skip,))


@pytest.mark.parametrize("workers", [0, 2])
def test_skips_reach_the_main_process(workers: int) -> None:
    loader = Loader(
        Broken(), collate=collate, batch_size=6, seed=0, workers=workers, max_bad_share=0.5
    )
    list(loader.batches(steps=8))
    assert sorted(loader.skips.items) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_skips_end_the_run(workers: int) -> None:
    loader = Loader(
        Broken(), collate=collate, batch_size=6, seed=0, workers=workers, max_bad_share=0.02
    )
    with pytest.raises(DataError, match="3 of 117 training items"):
        list(loader.batches(steps=8))


INTERRUPTED = """
import time
from mplug.data.batch import collate
from tests.data.test_loader import Numbers
from mplug.data.loader import Loader
try:
    loader = Loader(Numbers(), collate=collate, batch_size=6, seed=0, workers=2)
    for batch in loader.batches(steps=10**9):
        print("ready", flush=True)
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
def test_an_interrupt_ends_quietly_and_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = process.communicate(timeout=20)
    assert out.endswith("interrupted\n")
    assert err == ""
    assert process.returncode == 0
