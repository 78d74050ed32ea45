"""Rivals compared on one machine in one run: each in its own process, one working at a time.

A topic file holds factories (a rival's work) and `topic(quick=...)`:

    def build(*, batch: int) -> Callable[[], dict[str, float]]:   # runs in the rival's process
        model = ...
        def work() -> dict[str, float]:                           # timed, once a round
            ...
            return {"gflop": 171.0}              # counts: their medians over the rounds are kept
        return work

    def topic(*, quick: bool) -> Topic:
        rivals = [Rival("mplug", __name__, "build", {"batch": 4}), Rival("peer", ...)]
        found = compare(rivals, threads=2, reference="peer", title="batch 4")
        bars = [Bar("batch 4", found["mplug"].ratio, at_least=1.5, stretch=2.1)]
        return Topic("name", title="...", about="...", comparisons=[found], bars=bars)

    if __name__ == "__main__":
        run_alone(topic)

Factories are named by module and function, so `Rival("...", "benchmarks.captioning", ...)`, not
`__name__`, in a file that is run alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import Bar, Curve, Table, Topic, run_alone

__all__ = [
    "Bar",
    "Comparison",
    "Curve",
    "Found",
    "Rival",
    "RivalError",
    "Table",
    "Topic",
    "compare",
    "counted",
    "run_alone",
]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Rival:
    """One way to do the work: `factory(**arguments)` of `module` returns what does it once.

    `once` is for work so slow that one round must do, without a warm-up; `share` is the part of
    the work that it does, or how many times it does it, and its seconds are divided by it.
    """

    name: str
    module: str
    factory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    once: bool = False
    share: float = 1.0


class RivalError(RuntimeError):
    """A rival's process ended before its work did; its own words are on standard error."""


@dataclass(frozen=True)
class Found:
    """What one rival took. Ratios say how many times as fast as the reference it was."""

    name: str
    seconds: list[float]  # by round, of the whole work
    ratios: list[float]  # by round, each against the reference's time of the same round
    processor_seconds: float
    build_seconds: float
    peak_mb: float
    share: float
    counts: dict[str, float]

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def rate(self) -> float:
        """GFLOP/s, of what the counts say as `gflop`; 0 where they do not."""
        return self.counts.get("gflop", 0.0) / self.median


@dataclass(frozen=True)
class Comparison:
    """All rivals of one run, in the order given."""

    title: str
    reference: str
    threads: int | None
    rounds: int
    found: list[Found]

    def __getitem__(self, name: str) -> Found:
        return next(each for each in self.found if each.name == name)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.found)

    def ratio_to(self, name: str, other: str) -> float:
        """How many times as fast as `other` a rival was: the median of the rounds' ratios."""
        ours, theirs = _of_every_round(self[name].seconds, self[other].seconds)
        return median(their / our for our, their in zip(ours, theirs, strict=True))

    def of_roof(self, name: str) -> float:
        """The share of the roof that a rival's `gflop` reached; 0 if either was not measured.

        The roof is the rival `roof PRECISION` (benchmarks.roof.rival), by the last word of a name:
        `mplug int8` meets `roof int8`; names without a precision meet `roof fp32`.
        """
        last = name.split()[-1]
        roof = f"roof {last if last in ('bf16', 'int8') else 'fp32'}"
        if roof not in self or name == roof or not self[name].rate:
            return 0.0
        return self[name].rate / self[roof].rate

    def as_json(self) -> dict[str, Any]:
        """Plain data, with the medians and shares that follow from it."""
        found = [
            asdict(each)
            | {
                "median": each.median,
                "ratio": each.ratio,
                "rate": each.rate,
                "of_roof": self.of_roof(each.name),
            }
            for each in self.found
        ]
        return asdict(self) | {"found": found}


def compare(
    rivals: Sequence[Rival],
    *,
    rounds: int = 5,
    threads: int | None,
    reference: str,
    title: str,
) -> Comparison:
    """Time the rivals in interleaved rounds; the order rotates, so that none is always first.

    Every process is built and warmed before the first round. `threads` None leaves the number to
    the library.

    Raises:
        RivalError: a rival's process failed.
        ValueError: names repeat, or the reference is not among them.
    """
    names = [rival.name for rival in rivals]
    if len(set(names)) != len(names) or reference not in names:
        raise ValueError(f"rivals {names} need names of their own, {reference!r} among them")
    workers: dict[str, Worker] = {}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    try:
        for rival in rivals:
            workers[rival.name] = Worker(rival, threads=threads)
        for worker in workers.values():
            worker.imported()
        for rival in rivals:
            workers[rival.name].build()
            if not rival.once:
                workers[rival.name].work()
        for number in range(rounds):
            for place in range(len(rivals)):
                rival = rivals[(place + number) % len(rivals)]
                if number == 0 or not rival.once:
                    answers[rival.name].append(workers[rival.name].work())
            print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for worker in workers.values():
            worker.end()
    built = {name: worker.build_seconds for name, worker in workers.items()}
    found = _found(rivals, answers, built=built, reference=reference)
    return Comparison(title, reference, threads, rounds, found)


def counted(rival: Rival, *, threads: int | None, title: str) -> Mapping[str, float]:
    """What a rival counts in one round of its own, whose time is of no interest."""
    found = compare([rival], rounds=1, threads=threads, reference=rival.name, title=title)
    return found[rival.name].counts


def _found(
    rivals: Sequence[Rival],
    answers: Mapping[str, list[dict[str, Any]]],
    *,
    built: Mapping[str, float],
    reference: str,
) -> list[Found]:
    """Seconds of the whole work, and ratios of each round."""
    shares = {rival.name: rival.share for rival in rivals}
    seconds = {
        name: [each["seconds"] / shares[name] for each in rows] for name, rows in answers.items()
    }
    result = []
    for name, rows in answers.items():
        own, other = _of_every_round(seconds[name], seconds[reference])
        result.append(
            Found(
                name=name,
                seconds=seconds[name],
                ratios=[theirs / ours for ours, theirs in zip(own, other, strict=True)],
                processor_seconds=median(each["processor_seconds"] for each in rows),
                build_seconds=built[name],
                peak_mb=max(each["peak_mb"] for each in rows),
                share=shares[name],
                counts=_medians([each["counts"] for each in rows]),
            )
        )
    return result


def _of_every_round(*seconds: list[float]) -> list[list[float]]:
    """Rivals' seconds, as many of each: one that ran once meets every round of the others."""
    length = max(map(len, seconds))
    return [each * (length if len(each) == 1 else 1) for each in seconds]


def _medians(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of every count over the rounds: some are times, and one slow round must not make a bar."""
    return {name: median(each[name] for each in counts) for name in counts[-1]}


class Worker:
    """A rival's process, which sleeps on its pipe until it is told to work."""

    def __init__(self, rival: Rival, *, threads: int | None) -> None:
        self.name = rival.name
        environment = dict(os.environ, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
        paths = [str(ROOT / "src"), str(ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        if threads is not None:  # read by torch's and numpy's libraries as they load
            environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.build_seconds = 0.0
        asked = {
            "module": rival.module,
            "factory": rival.factory,
            "arguments": rival.arguments,
        }
        self._tell(json.dumps(asked))

    def imported(self) -> None:
        """Wait until it has imported what it needs: all begin at once, for that takes seconds."""
        self._hear()

    def build(self) -> None:
        """Let it build its work."""
        self._tell("build")
        self.build_seconds = self._hear()["seconds"]

    def work(self) -> dict[str, Any]:
        """Do the work once; seconds, processor seconds, peak memory in MB and the counts."""
        self._tell("work")
        return self._hear()

    def end(self) -> None:
        """Let it finish, and wait for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RivalError(f"{self.name}: its process has ended") from None

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RivalError(f"{self.name}: its process ended with {self._process.wait()}")
        content: dict[str, Any] = json.loads(answer)
        return content
