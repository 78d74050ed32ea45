"""The scores of a summary as lines of text, each above what it is compared with."""

from collections.abc import Iterator, Sequence
from typing import Any

from mplug.interfaces.report.content import scale_of
from mplug.interfaces.report.wording import figure, metric_title, spelled


def difference_lines(differences: Sequence[dict[str, Any]], *, other: str) -> Iterator[str]:
    """What one run gains over another on the same scenes, grouped by whose drawings they show."""
    for split in dict.fromkeys(each["split"] for each in differences):
        members = [each for each in differences if each["split"] == split]
        yield f"{spelled(split)} ({members[0]['n']:,} scenes), against {other}"
        for each in members:
            scale = scale_of(each["metric"])
            value, before = (figure(each[name], scale=scale) for name in ("value", "other"))
            gain, low, high = (
                signed(figure(bound, scale=scale), bound)
                for bound in (each["value"] - each["other"], each["low"], each["high"])
            )
            yield f"  {value:>6}  {metric_title(each['metric'])}"
            yield f"          against {before}: {gain}  [{low} to {high}]"


def signed(text: str, number: float) -> str:
    """A figure that shows which way it points."""
    return text if number < 0 else f"+{text}"


def table_lines(scores: Sequence[dict[str, Any]], *, unit: str = "scenes") -> Iterator[str]:
    """The scores of summary.json, grouped by whose drawings they are measured on.

    `unit` is what the intervals are over.
    """
    for split in dict.fromkeys(score["split"] for score in scores):
        members = [score for score in scores if score["split"] == split]
        yield f"{spelled(split)} ({members[0]['n']:,} {unit})"
        for score in members:
            scale = scale_of(score["metric"])
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
