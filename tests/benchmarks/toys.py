"""Rivals for the harness's tests; they run in processes of their own."""

import time
from collections.abc import Callable


def sleeper(*, seconds: float) -> Callable[[], dict[str, float]]:
    """Work that takes a known time and counts its calls."""
    calls = 0

    def work() -> dict[str, float]:
        nonlocal calls
        calls += 1
        print("what work prints must not reach the pipe")
        time.sleep(seconds)
        return {"calls": calls}

    return work


def broken() -> Callable[[], None]:
    """Work that fails."""

    def work() -> None:
        raise SystemExit(3)

    return work
