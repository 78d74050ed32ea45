"""Time spent on updates, with evaluation and saving left out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Counts seconds of updates, on top of those of earlier sessions of the run."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._started = time.perf_counter()
        self._before = seconds
        self._paused = 0.0
        self._lap_seconds = seconds
        self._lap_step: int | None = None
        self._first_step: int | None = None

    @property
    def seconds(self) -> float:
        """Seconds of updates in all sessions."""
        return self._before + time.perf_counter() - self._started - self._paused

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out what happens inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - started

    def start(self, step: int) -> None:
        """The updates begin, at `step`."""
        self._first_step = self._lap_step = step

    def lap(self, step: int) -> float:
        """Updates a second since the last lap, of which `step` are now done."""
        assert self._lap_step is not None, "lap before start"
        seconds, done = self.seconds, step - self._lap_step
        rate = done / max(seconds - self._lap_seconds, 1e-9)
        self._lap_seconds, self._lap_step = seconds, step
        return rate

    def left(self, step: int, *, steps: int) -> float:
        """Seconds until `steps`, at this session's pace so far, pauses included."""
        assert self._first_step is not None, "left before start"
        elapsed = time.perf_counter() - self._started
        return elapsed * (steps - step) / max(1, step - self._first_step)
