"""How far a measurement is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Phases = Callable[[str, int, int], None]

QUIET_SECONDS = 5.0  # between two lines about one phase, where there is no bar


@contextmanager
def phases() -> Iterator[Phases]:
    """Shows phases by name, with how much of each is done and how much there is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console()
    if not console.is_terminal:
        yield _lines()
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        shown = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in shown:
                shown[phase] = bars.add_task(phase, total=total)
            bars.update(shown[phase], completed=done, total=total)

        yield show


def _lines() -> Phases:
    started: dict[str, float] = {}
    told: dict[str, float] = {}

    def show(phase: str, done: int, total: int) -> None:
        now = time.perf_counter()
        if phase not in started:
            started[phase] = told[phase] = now
            print(f"  {phase}", flush=True)
        elif now - told[phase] >= QUIET_SECONDS:
            told[phase] = now
            left = (now - started[phase]) * (total - done) / max(done, 1)
            print(f"  {phase}: {done} of {total}, {left:.0f} s left", flush=True)

    return show
