"""What a run says: each loss beside its blind value, speed and time left; on disk and on screen."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from torch import Tensor

from mplug.training.distributed import Processes

BLIND = "_blind"
Line = Mapping[str, Any]
"""`kind` ("train" or "evaluation"), `step` (updates done) and named figures."""


class Window:
    """The logged values since the last log line; read from the device only when asked."""

    def __init__(self, values: Mapping[str, list[float]]) -> None:
        self._values: dict[str, list[Tensor | float]] = {k: list(v) for k, v in values.items()}

    def add(self, logs: Mapping[str, Tensor]) -> None:
        """Take one batch's detached scalars."""
        for name, value in logs.items():
            self._values.setdefault(name, []).append(value)

    def settle(self, processes: Processes) -> dict[str, list[float]]:
        """Everything taken, averaged over the processes, as plain numbers; keeps them."""
        flat = [value for values in self._values.values() for value in values]
        if not flat:
            return {}
        local = torch.stack(
            [torch.as_tensor(value, dtype=torch.float32, device=processes.device) for value in flat]
        )
        numbers = iter((processes.all_sum(local) / processes.world).tolist())
        settled = {name: [next(numbers) for _ in values] for name, values in self._values.items()}
        self._values = {name: list(values) for name, values in settled.items()}
        return settled

    def means(self, processes: Processes) -> dict[str, float]:
        """The mean of each log over the batches that had it; forgets them."""
        settled = self.settle(processes)
        self._values = {}
        return {name: math.fsum(values) / len(values) for name, values in settled.items()}


@runtime_checkable
class Reporter(Protocol):
    """Someone a run tells what happens."""

    def start(self, *, step: int, steps: int) -> None:
        """The run begins, or goes on, at `step`."""

    def line(self, line: Line) -> None:
        """Figures at one step."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def close(self) -> None:
        """The run ends, for whatever reason."""


class JsonLines:
    """Appends every line to a file, as JSON; figures that are not finite become null."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")

    def start(self, *, step: int, steps: int) -> None:
        """Nothing to say: the file is the run's, not the process's."""

    def line(self, line: Line) -> None:
        """One JSON object, whole: a reader never sees half of it unless the machine stops."""
        plain = {key: _plain(value) for key, value in line.items()}
        self._file.write(json.dumps(plain, allow_nan=False) + "\n")
        self._file.flush()

    def note(self, text: str) -> None:
        """Nothing: notes are for people."""

    def sync(self) -> None:
        """Flush to disk, before a checkpoint that counts on these lines."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PlainReporter:
    """A line of text for each line of figures: for files and pipes."""

    def __init__(self) -> None:
        self._steps = 0

    def start(self, *, step: int, steps: int) -> None:
        """Say where the run stands."""
        self._steps = steps
        self.note(f"{'continuing' if step else 'starting'} at step {step} of {steps}")

    def line(self, line: Line) -> None:
        """Print the figures."""
        self.note(describe(line, steps=self._steps))

    def note(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def close(self) -> None:
        """Nothing to close."""


class RichReporter:
    """The same lines above a moving bar: for terminals."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
        )
        self._steps = 0
        self._bar = self._progress.add_task("training", speed="")

    def start(self, *, step: int, steps: int) -> None:
        """Show the bar."""
        self._steps = steps
        self._progress.update(self._bar, completed=step, total=steps)
        self._progress.start()

    def line(self, line: Line) -> None:
        """Print the figures and move the bar."""
        self.note(describe(line, steps=self._steps))
        speed = ""
        if "examples_per_second" in line:
            left = format_seconds(line["seconds_left"])
            speed = f"{line['examples_per_second']:.0f} examples/s, {left} left"
        self._progress.update(self._bar, completed=line["step"], speed=speed)

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(text, highlight=True, markup=False)

    def close(self) -> None:
        """Leave the bar as it is and stop moving it."""
        self._progress.stop()


def screen_reporter() -> Reporter:
    """The reporter that suits standard output."""
    console = Console()
    return RichReporter(console) if console.is_terminal else PlainReporter()


def describe(line: Line, *, steps: int) -> str:
    """One line of figures for people: losses beside their blind values first."""
    parts = [
        f"{'evaluation at ' if line['kind'] == 'evaluation' else ''}step {line['step']}/{steps}"
    ]
    special = {"kind", "step", "lr", "examples_per_second", "seconds", "seconds_left"}
    for name, value in line.items():
        if name in special or name.endswith(BLIND):
            continue
        blind = line.get(name + BLIND)
        beside = f" (blind {_figure(name, blind)})" if blind is not None else ""
        parts.append(f"{name} {_figure(name, value)}{beside}")
    if "lr" in line:
        parts.append(f"lr {line['lr']:.2g}")
    if "examples_per_second" in line:
        parts.append(f"{line['examples_per_second']:.0f} examples/s")
        parts.append(f"{format_seconds(line['seconds_left'])} left")
    return "  ".join(parts)


def format_seconds(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s` or `8 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def _figure(name: str, value: float) -> str:
    return f"{value:.1%}" if name.endswith("accuracy") or "recall_at" in name else f"{value:.3g}"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
