"""The scores of a summary as lines of text, each above what it is compared with."""

from collections.abc import Iterator, Sequence
from typing import Any

from mplug.interfaces.report.content import SCALES
from mplug.interfaces.report.wording import figure, metric_title, spelled


def table_lines(scores: Sequence[dict[str, Any]], *, unit: str = "scenes") -> Iterator[str]:
    """The scores of summary.json, grouped by whose drawings they are measured on.

    `unit` is what the intervals are over.
    """
    for split in dict.fromkeys(score["split"] for score in scores):
        members = [score for score in scores if score["split"] == split]
        yield f"{spelled(split)} ({members[0]['n']:,} {unit})"
        for score in members:
            scale = SCALES.get(score["metric"], 1.0)
            value, low, high = (
                figure(score[name], scale=scale) for name in ("value", "low", "high")
            )
            yield f"  {value:>6}  {metric_title(score['metric'])}  [{low} to {high}]"
            beside = ", ".join(
                f"{spelled(name)} {figure(level, scale=scale)}"
                for name, level in score["baselines"].items()
            )
            if beside:
                yield f"          beside: {beside}"
