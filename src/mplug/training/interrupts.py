"""Being asked to stop: the first signal waits for the step to end, the second does not."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mplug.errors import TrainingError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(TrainingError):
    """A run that was asked to stop and saved itself; exits with 128 + signal (130, 143)."""

    def __init__(self, number: int, *, step: int, steps: int, path: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step} of {steps}, which is "
            f"saved in {path}: the same command continues from there"
        )
        self.exit_code = 128 + number


class Interrupts:
    """The signal that asked for an end, if any."""

    def __init__(self) -> None:
        self.signal = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; leave at once on the second."""
        if self.signal:
            os._exit(128 + number)
        self.signal = number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Catch SIGINT and SIGTERM, and put the old handlers back afterwards.

    Python gives signals to the main thread only, so elsewhere nothing is caught.
    """
    caught = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, caught.handle) for number in SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
