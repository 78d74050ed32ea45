"""The bench of the training step: what it counts, at miniature size."""

from benchmarks.training_step import build


def test_a_step_counts_its_arithmetic_once_and_its_update_every_time() -> None:
    work = build(size="quick", batch=3, precision="float32", count=True)
    first, second = work(), work()
    assert first["gflop"] == second["gflop"] > 0
    assert 0 < second["percent in optimiser and teacher"] < 100
