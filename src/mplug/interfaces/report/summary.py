"""summary.json: what a run cost and scored, for scripts and checks."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mplug.interfaces.report.content import Score
from mplug.interfaces.report.files import write_text


def summary(scores: Sequence[Score], *, seconds: float, peak_memory_gb: float) -> dict[str, Any]:
    """The summary as plain data; fractions, not percent.

    Raises:
        ValueError: a cost is no positive number, or two scores share task, split and metric.
    """
    for name, value in {"seconds": seconds, "peak_memory_gb": peak_memory_gb}.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"summary: {name} is {value}, not a positive number")
    seen: set[tuple[str, str, str]] = set()
    for score in scores:
        key = (score.task, score.split, score.metric)
        if key in seen:
            raise ValueError(f"summary: score {'/'.join(key)} is given twice")
        seen.add(key)
    return {
        "seconds": seconds,
        "peak_memory_gb": peak_memory_gb,
        "scores": [_plain(score) for score in scores],
    }


def write_summary(
    path: Path, scores: Sequence[Score], *, seconds: float, peak_memory_gb: float
) -> None:
    """Write `summary` as JSON; raises as it does."""
    content = summary(scores, seconds=seconds, peak_memory_gb=peak_memory_gb)
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _plain(score: Score) -> dict[str, Any]:
    return {
        "task": score.task,
        "split": score.split,
        "metric": score.metric,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n,
        "baselines": dict(score.baselines),
    }
