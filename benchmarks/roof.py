"""What the machine can do: matrix products of the shapes used, memory, and how busy it is."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.harness import Bar, Rival, Table, Topic, compare, run_alone

SHAPES = {  # rows, inner, columns; of the base size
    "vision feed-forward, batch 4": (1028, 768, 3072),
    "vision projection, batch 4": (1028, 768, 768),
    "decoder feed-forward, 20 rows": (20, 768, 3072),
    "vocabulary, 20 rows": (20, 768, 30522),
}
MAIN = "vision feed-forward, batch 4"
PRECISIONS = ("fp32", "bf16", "int8")
BUSY = 0.15  # of one processor, used by others: more than this is told
MEMORY_MB = 256


def rivals(*precisions: str, quick: bool) -> list[Rival]:
    """The roof as rivals of what is measured, in the same rounds: `roof fp32` and so on.

    A table then says of each row with a count of `gflop` which share of the roof it reached.
    All precisions that this processor has instructions for, unless some are named.
    """
    shape = [64, 256, 256] if quick else list(SHAPES[MAIN])
    return [
        Rival(
            f"roof {precision}",
            "benchmarks.roof",
            "product",
            {"shape": shape, "precision": precision},
        )
        for precision in precisions or filter(has_hardware, PRECISIONS)
    ]


def binding(bar: Bar, *, precision: str) -> Bar:
    """The bar of a precision; it does not bind where the processor lacks the instructions."""
    if has_hardware(precision):
        return bar
    return replace(bar, binds=False, why=f"no hardware for {precision}")


def product(*, shape: list[int], precision: str) -> Callable[[], dict[str, float]]:
    """One matrix product by the fastest kernel known here, over and over for about 0.3 s."""
    import torch

    rows, inner, columns = shape
    once = 2e-9 * rows * inner * columns
    kernels = _kernels(rows, inner, columns, precision=precision)
    with torch.inference_mode():
        kernel = min(kernels, key=_seconds)
        times = max(1, round(0.3 / _seconds(kernel)))

    def work() -> dict[str, float]:
        with torch.inference_mode():
            for _ in range(times):
                kernel()
        return {"gflop": once * times}

    return work


def _kernels(rows: int, inner: int, columns: int, *, precision: str) -> list[Callable[[], object]]:
    import torch
    from torch.nn.functional import linear

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inner, generator=generator)
    weight = torch.randn(columns, inner, generator=generator)
    if precision == "bf16":
        x, weight = x.bfloat16(), weight.bfloat16()
        return [lambda: linear(x, weight)]
    if precision == "int8":
        return [_int8(x, weight)]
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return [
        lambda: linear(x, weight),
        lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""),
    ]


def _int8(x: Any, weight: Any) -> Callable[[], object]:
    """Bytes by bytes, with the scales of the weights' channels; the rows are bytes already."""
    import torch

    rows, whole = x.mul(30).to(torch.int8), weight.mul(15).to(torch.int8)
    operators: Any = torch.ops.onednn
    packed = operators.qlinear_prepack(whole, None)
    scales, zeros = torch.ones(len(whole)), torch.zeros(len(whole), dtype=torch.int32)
    return lambda: operators.qlinear_pointwise(
        rows, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


def _seconds(work: Callable[[], object]) -> float:
    work()
    found = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


def copying() -> Callable[[], dict[str, float]]:
    """A large tensor copied: bytes read and written."""
    import torch

    source = torch.zeros(MEMORY_MB * 2**18)
    target = torch.empty_like(source)

    def work() -> dict[str, float]:
        target.copy_(source)
        return {"gigabytes": 2 * MEMORY_MB * 2**20 / 1e9}

    return work


def topic(*, quick: bool) -> Topic:
    """The rates of every shape and precision, and of memory."""
    shapes = {MAIN: [64, 256, 256]} if quick else {name: list(s) for name, s in SHAPES.items()}
    rows, rates = [], dict[str, float]()
    for name, shape in shapes.items():
        rivals = [
            Rival(p, "benchmarks.roof", "product", {"shape": shape, "precision": p})
            for p in PRECISIONS
        ]
        found = compare(rivals, rounds=3, threads=THREADS, reference="fp32", title=name)
        each = {one.name: one.rate for one in found.found}
        rows.append([name, " x ".join(map(str, shape)), *(f"{each[p]:.0f}" for p in PRECISIONS)])
        if name == MAIN:
            rates = each
    memory = compare(
        [Rival("copy", "benchmarks.roof", "copying")],
        rounds=3,
        threads=THREADS,
        reference="copy",
        title="memory",
    )["copy"]
    bandwidth = memory.counts["gigabytes"] / memory.median
    rows.append(["copying memory, GB/s", f"{MEMORY_MB} MB", f"{bandwidth:.1f}", "", ""])
    missing = [precision for precision in PRECISIONS if not has_hardware(precision)]
    notes = [f"No hardware for {precision} on this processor." for precision in missing]
    return Topic(
        "roof",
        title="The machine's own limit",
        about="Matrix products alone, of the shapes that the base model has, in GFLOP/s (a "
        "multiply-add is two), by the fastest kernel found for each precision. Shares of the roof "
        "on this page are of the first row, measured again among each table's rounds.",
        tables=[Table("Roof, GFLOP/s", ["product", "shape", *PRECISIONS], rows)],
        notes=notes,
        facts={"rates": rates, "memory": bandwidth},
    )


THREADS = int(os.environ.get("BENCH_THREADS", min(2, os.cpu_count() or 1)))


def has_hardware(precision: str) -> bool:
    """Whether this processor has instructions that make `precision` faster than float32."""
    from mplug.nn.precision import has_bfloat16, has_int8

    return {"fp32": True, "bf16": has_bfloat16("cpu"), "int8": has_int8()}[precision]


@cache
def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    named = (line for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(named, "").split())


def machine() -> dict[str, Any]:
    """Its name, and the programs that decide speed."""
    from importlib.metadata import version

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    vectors = sorted(
        flag for flag in _flags() if flag.startswith(("avx", "amx", "asimd", "sve", "i8mm", "bf16"))
    )
    return {
        "processor": next(names, platform.processor() or platform.machine()),
        "processors": os.cpu_count(),
        "vectors": vectors,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "threads": THREADS,
    }


def others_use(seconds: float = 1.0) -> float:
    """Processors that other processes keep busy, watched while this one sleeps; 0 if unknown."""
    try:
        before = _busy_ticks()
        time.sleep(seconds)
        return (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds
    except (OSError, ValueError):
        return 0.0


def _busy_ticks() -> int:
    words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, words[:8])
    return user + nice + system + interrupts + soft + stolen


@contextmanager
def watched(*, strict: bool, seconds: float = 1.0) -> Iterator[dict[str, Any]]:
    """Facts of a run: machine, seconds, and what others used of the processors around it.

    Others are watched for `seconds`, before and after.

    Raises:
        SystemExit: `strict`, and the machine is busy.
    """
    facts: dict[str, Any] = {"machine": machine(), "others_before": others_use(seconds)}
    if facts["others_before"] > BUSY:
        words = f"the machine is busy: others use {facts['others_before']:.2f} processors"
        if strict:
            sys.exit(f"{words}; wait, or leave --strict out")
        print(f"{words}: ratios may hold, seconds do not", file=sys.stderr)
    begun = time.perf_counter()
    yield facts
    facts["seconds"] = time.perf_counter() - begun
    facts["others_after"] = others_use(seconds)


if __name__ == "__main__":
    run_alone(topic)
