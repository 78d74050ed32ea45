"""Comparing what the product makes with what is expected, value by value."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MISSING = object()


@dataclass(frozen=True)
class AnyOf:
    """Several values, each of them right."""

    values: set[float]


@dataclass(frozen=True)
class Tolerance:
    """How far a value may be off: absolutely, or as a share of what is expected."""

    absolute: float
    relative: float

    def allows(self, error: float, expected: float) -> bool:
        """Whether `error` is small enough for a value of this size."""
        return error <= self.absolute + self.relative * abs(expected)


# First match wins; float32 values share one tolerance.
TOLERANCES = (
    (re.compile(r".*\.grad_norms$"), Tolerance(1e-9, 1e-8)),
    (re.compile(r"rerank\.score_"), Tolerance(1e-6, 1e-6)),  # stored in float32
    (re.compile(""), Tolerance(1e-10, 1e-10)),
)
FLOAT32 = Tolerance(1e-5, 1e-5)


def tolerance(name: str, dtype: torch.dtype) -> Tolerance:
    """What an entry is held to."""
    if dtype == torch.float32:
        return FLOAT32
    return next(allowed for pattern, allowed in TOLERANCES if pattern.match(name))


@dataclass
class Tally:
    """Counts of what was checked, what failed and how, and the largest error seen.

    `unchecked` says what could not be checked here, and why.
    """

    checked: int = 0
    worst: float = 0.0
    failures: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in another's counts."""
        self.checked += other.checked
        self.worst = max(self.worst, other.worst)
        self.failures += other.failures
        self.unchecked += other.unchecked

    def compare(self, name: str, made: Any, expected: Any, *, allowed: Tolerance) -> None:
        """Check an entry: a tensor is one value, of JSON every leaf is one."""
        if isinstance(expected, Tensor):
            self._tensor(name, made, expected, allowed)
            return
        wanted, given = dict(leaves(name, expected)), dict(leaves(name, made))
        for path, leaf in wanted.items():
            self._leaf(path, given.get(path, MISSING), leaf, allowed)
        for path in given.keys() - wanted.keys():
            self._count(path, "not expected")

    def failed(self, name: str, expected: Any, *, problem: str) -> None:
        """Count an entry that there is nothing to compare with."""
        for path, _ in [(name, None)] if isinstance(expected, Tensor) else leaves(name, expected):
            self._count(path, problem)

    def _tensor(self, name: str, made: Any, expected: Tensor, allowed: Tolerance) -> None:
        if not isinstance(made, Tensor) or made.shape != expected.shape:
            shape = list(made.shape) if isinstance(made, Tensor) else made
            self._count(name, f"{shape}, not {list(expected.shape)}")
        elif made.dtype != expected.dtype:
            self._count(name, f"{made.dtype}, not {expected.dtype}")
        elif not expected.is_floating_point():
            self._count(name, None if torch.equal(made, expected) else "differs")
        else:
            error = (made.detach().double() - expected.double()).abs()
            bound = allowed.absolute + allowed.relative * expected.double().abs()
            self._note(error / expected.double().abs().clamp(min=1.0))
            right = bool((error <= bound).all())
            self._count(name, None if right else f"off by {error.max().item():.1e}")

    def _leaf(self, path: str, made: Any, expected: Any, allowed: Tolerance) -> None:
        if isinstance(made, AnyOf):
            made = min(made.values, key=lambda value: abs(value - expected))
        if isinstance(expected, float) and isinstance(made, float):
            error = abs(made - expected) if math.isfinite(made) else math.inf
            self._note(torch.tensor(error / max(1.0, abs(expected))))
            right = allowed.allows(error, expected)
            self._count(path, None if right else f"{made}, not {expected}")
        elif type(made) is type(expected) and made == expected:
            self._count(path, None)
        else:
            self._count(path, f"{'missing' if made is MISSING else made}, not {expected}")

    def _note(self, error: Tensor) -> None:
        if error.numel():
            self.worst = max(self.worst, error.nan_to_num(math.inf).max().item())

    def _count(self, path: str, problem: str | None) -> None:
        self.checked += 1
        if problem:
            self.failures.append(f"{path}: {problem}")


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf of nested lists and mappings, with the way to it; empty ones are leaves too."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(f"{path}/{key}", inner)
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from leaves(f"{path}[{place}]", inner)
    else:
        yield path, value
