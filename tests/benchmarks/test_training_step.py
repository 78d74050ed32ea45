"""The bench of the training step: what it counts, at miniature size, and what it compares."""

from collections.abc import Sequence

import pytest

from benchmarks import roof, training_step
from benchmarks.harness import Comparison, Found, Rival
from benchmarks.training_step import build


def test_a_step_counts_its_arithmetic_once_and_its_update_every_time() -> None:
    work = build(size="quick", batch=3, precision="float32", count=True)
    first, second = work(), work()
    assert first["gflop"] == second["gflop"] > 0
    assert 0 < second["percent in optimiser and teacher"] < 100


@pytest.mark.parametrize("hardware", [True, False])
def test_without_hardware_for_bf16_a_small_step_is_measured_once_and_no_bar_binds(
    hardware: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roof, "has_hardware", lambda precision: precision == "fp32" or hardware)
    monkeypatch.setattr(training_step, "compare", pretended)
    topic = training_step.topic(quick=False)
    found, *small = topic.comparisons
    assert ("step bf16" in found) == ("roof bf16" in found) == hardware
    assert [len(each["step bf16"].seconds) for each in small] == [1] * (not hardware)
    assert [bar.binds for bar in topic.bars] == [True, True, True, True, hardware]
    assert len(topic.notes) == (not hardware)


def test_a_small_step_does_less() -> None:
    whole = build(size="quick", batch=2, precision="float32", count=True)
    small = build(size="quick", batch=1, precision="float32", count=True, side=32)
    assert small()["gflop"] < whole()["gflop"] / 2


def pretended(
    rivals: Sequence[Rival], *, rounds: int, threads: int | None, reference: str, title: str
) -> Comparison:
    """A comparison in which nothing runs."""
    counts = {"gflop": 1.0, "percent in optimiser and teacher": 1.0}
    found = []
    for rival in rivals:
        times = [1.0] * (1 if rival.once else rounds)
        found.append(Found(rival.name, times, [1.0] * rounds, 1.0, 1.0, 1.0, rival.share, counts))
    return Comparison(title, reference, threads, rounds, found)
