"""From the JSON files of a run to the page: a table for each comparison, bars, plots."""

from typing import Any

Json = dict[str, Any]


def topic_lines(topic: Json) -> list[str]:
    """One topic's part of the page, in Markdown."""
    lines = [f"## {topic['title']}", "", topic["about"], ""]
    for comparison in topic["comparisons"]:
        lines += [*comparison_lines(comparison), ""]
    return lines


def comparison_lines(comparison: Json) -> list[str]:
    """A row for each rival."""
    lines = [
        f"**{comparison['title']}** (times as fast as {comparison['reference']})",
        "",
        "| | seconds | range | ratio | range | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for found in comparison["found"]:
        seconds, ratios = found["seconds"], found["ratios"]
        lines.append(
            f"| {found['name']} | {found['median']:.3g} | {min(seconds):.3g} to {max(seconds):.3g} "
            f"| {found['ratio']:.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
            f"| {found['peak_mb']:,.0f} |"
        )
    return lines
