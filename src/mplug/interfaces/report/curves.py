"""Loss curves from what a run wrote down: JSON lines with a step and named values."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mplug.errors import DataError
from mplug.interfaces.report.content import Curve

BLIND = "_blind"

Record = Mapping[str, Any]


def read_metrics(path: Path) -> list[Record]:
    """The records of a run's metrics.jsonl.

    Raises:
        DataError: the file is missing, or a line is no JSON object; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); did training start?"
        ) from error
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not a line of JSON ({error.msg})") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: expected an object with a step, got {line[:40]!r}")
        records.append(record)
    return records


def curves_from(records: Iterable[Record], *, also: Iterable[str] = ()) -> tuple[Curve, ...]:
    """A curve for every `<loss>` that has a `<loss>_blind`, and for each name in `also`.

    Records without a step are left out, as are values that are no finite number. A step written
    twice, as by a run that was interrupted and continued, counts as last written.
    """
    series: dict[str, dict[int, float]] = {}
    for record in records:
        step = record.get("step")
        if not isinstance(step, int):
            continue
        for name, value in record.items():
            if isinstance(value, int | float) and math.isfinite(value):
                series.setdefault(name, {})[step] = float(value)
    paired = [name for name in series if name + BLIND in series]
    wanted = dict.fromkeys([*paired, *(name for name in also if name in series)])
    return tuple(
        Curve(name, _points(series[name]), _points(series.get(name + BLIND, {}))) for name in wanted
    )


def thinned(points: tuple[tuple[int, float], ...], *, most: int) -> tuple[tuple[float, float], ...]:
    """At most `most` points: neighbours are averaged, so that noise shrinks and no step is lost."""
    if len(points) <= most:
        return tuple((float(step), value) for step, value in points)
    edges = [round(place * len(points) / most) for place in range(most + 1)]
    groups = [points[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]
    return tuple(
        (
            sum(step for step, _ in group) / len(group),
            sum(value for _, value in group) / len(group),
        )
        for group in groups
    )


def smoothed(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Each value averaged over a twentieth of the curve around it, less at the ends."""
    reach = len(points) // 40
    result = []
    for place, (step, _) in enumerate(points):
        near = points[max(0, place - reach) : place + reach + 1]
        result.append((step, sum(value for _, value in near) / len(near)))
    return tuple(result)


def ending(points: tuple[tuple[int, float], ...]) -> float:
    """Where a curve ends: the mean of its last twentieth."""
    last = points[-max(1, len(points) // 20) :]
    return sum(value for _, value in last) / len(last)


def _points(series: dict[int, float]) -> tuple[tuple[int, float], ...]:
    return tuple(sorted(series.items()))
