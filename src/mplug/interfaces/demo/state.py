"""demo.json: with which settings a demo was begun, what of it is done, and what it has cost."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mplug.errors import ConfigError
from mplug.interfaces.report.files import write_text

FILE = "demo.json"
GIGABYTE = 1e9
WRITTEN = ("settings", "done", "seconds", "total_seconds", "peak_memory_gb")


@dataclass
class DemoState:
    """What is written down after every stage, so that the same command goes on from there."""

    folder: Path
    settings: dict[str, Any]
    done: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage, over all sessions
    total_seconds: float = 0.0  # of all sessions, from when the command began
    peak_memory_gb: float = 0.0
    _counted_until: float = field(default_factory=time.perf_counter)

    @classmethod
    def open(cls, folder: Path, *, settings: dict[str, Any], fresh: bool) -> Self:
        """Begin a demo in `folder`, or go on with the one there.

        With `fresh` the one there is moved to `<folder>.old`, in place of one moved there before.

        Raises:
            ConfigError: the folder holds something else, or a demo with other settings.
        """
        file = folder / FILE
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; a demo needs a folder: --run names another")
        if not file.exists():
            others = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
            if others:
                raise ConfigError(
                    f"{folder} holds other files ({', '.join(others[:3])}) and no {FILE}: "
                    "name an empty or new folder with --run"
                )
        elif fresh:
            _move_aside(folder)
        else:
            return cls._read(folder, settings=settings)
        state = cls(folder, settings)
        state.save()
        return state

    @classmethod
    def _read(cls, folder: Path, *, settings: dict[str, Any]) -> Self:
        file = folder / FILE
        try:
            state = cls(folder, **json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{file} cannot be read ({error}); start over with --fresh"
            ) from error
        changed = _different(state.settings, settings)
        if changed:
            raise ConfigError(
                f"{folder} holds a demo with other settings ({'; '.join(changed[:5])}): name "
                "another folder with --run, or start over with --fresh"
            )
        return state

    def save(self) -> None:
        """Write the file, whole."""
        now = time.perf_counter()
        self.total_seconds += now - self._counted_until
        self._counted_until = now
        fields = {name: getattr(self, name) for name in WRITTEN}
        write_text(self.folder / FILE, json.dumps(fields, indent=2) + "\n")

    @contextmanager
    def stage(self, name: str, *, children: int = 0) -> Iterator[None]:
        """Count the time and the memory of what happens inside; done if it ends well.

        `children` is how many processes of its own it runs at once.
        """
        started = time.perf_counter()
        try:
            yield
            self.done.append(name)
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self.peak_memory_gb = max(self.peak_memory_gb, peak_memory_gb(children=children))
            self.save()


def peak_memory_gb(*, children: int) -> float:
    """The most memory that this process and `children` like its largest one can have held at once.

    The sum of each one's own peak, memory that they share counted every time: never too little.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if children else 0
    return (own + children * largest) * unit / GIGABYTE


def _move_aside(folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    if old.exists():
        shutil.rmtree(old)
    folder.rename(old)


def _different(there: Mapping[str, Any], now: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """The fields in which two nested settings differ, with both values."""
    found = []
    for name in [*there, *(name for name in now if name not in there)]:
        before, after = there.get(name, "absent"), now.get(name, "absent")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _different(before, after, prefix=f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name}: {before!r} there, {after!r} now")
    return found
