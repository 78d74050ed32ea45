"""The process of one rival: builds its work, then does it once for each line it is sent."""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

MEGABYTE = 1e6  # of the page's MB and GB


def main() -> None:
    """Obey the lines on standard input; answer on standard output, where nothing else may write."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    asked = json.loads(sys.stdin.readline())
    factory = getattr(importlib.import_module(asked["module"]), asked["factory"])
    answer({})
    if not sys.stdin.readline():  # rivals import at once, but build when they are told to
        return
    begun = time.perf_counter()
    work = factory(**asked["arguments"])
    answer({"seconds": time.perf_counter() - begun})
    for _ in sys.stdin:
        _forget_peak()
        processor, begun = time.process_time(), time.perf_counter()
        counts = work()
        seconds = time.perf_counter() - begun
        answer(
            {
                "seconds": seconds,
                "processor_seconds": time.process_time() - processor,
                "peak_mb": _peak_mb(),
                "counts": counts or {},
            }
        )


def _forget_peak() -> None:
    """Let the kernel note the peak from here on, where it can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_mb() -> float:
    """The most resident memory since the peak was forgotten, or else since the process began."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE
    kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return 1024 * kibibytes / MEGABYTE


if __name__ == "__main__":
    main()
