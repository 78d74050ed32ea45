"""Faults on the n-th file operation of a save, counted: one that never fires is noticed."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from mplug.training import state

OPERATIONS = (
    (os, "mkdir"),
    (os, "fsync"),
    (os, "rename"),
    (Path, "write_text"),
    (state, "save_file"),
)


class Counter:
    """How many operations there were, and how often the fault fired."""

    def __init__(self) -> None:
        self.operations = 0
        self.fired = 0


def disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def fault_at(number: int, fault: Callable[[], None]) -> Iterator[Counter]:
    """Let `fault` happen in place of the `number`-th operation, from 1."""
    counter = Counter()

    def faulty(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counter.operations += 1
            if counter.operations == number:
                counter.fired += 1
                fault()
            return operation(*arguments, **options)

        return call

    patches = [
        mock.patch.object(place, name, faulty(getattr(place, name))) for place, name in OPERATIONS
    ]
    for patch in patches:
        patch.start()
    try:
        yield counter
    finally:
        for patch in patches:
            patch.stop()
