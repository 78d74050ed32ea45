"""From the JSON files of a run to the page: bars, a table for each comparison, plots."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots

Json = dict[str, Any]
BEGIN = "<!-- measured: written by `make bench`, down to the end mark; edits here are lost -->"
END = "<!-- measured: end -->"
IMAGES = "images/performance"


def write(folder: Path, page: Path, *, order: Sequence[str]) -> None:
    """Put what `folder` holds between the page's two marks, and the plots beside it.

    All other text of the page is kept; a page that is not there yet begins with the marks.
    """
    topics = [
        json.loads(path.read_text("utf-8"))
        for path in (folder / f"{name}.json" for name in order)
        if path.exists()
    ]
    measured = "\n".join(_measured(topics, images=page.parent / IMAGES))
    old = page.read_text("utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    if BEGIN not in old or END not in old:
        raise ValueError(f"{page}: lacks the marks between which figures are written")
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    page.write_text(f"{head}{BEGIN}\n\n{measured}\n{END}{tail}", encoding="utf-8")


def _measured(topics: list[Json], *, images: Path) -> list[str]:
    lines = [*run_lines(topics), "", "## The bars", "", *bar_lines(topics), ""]
    for topic in topics:
        lines += topic_lines(topic, drawn=plots.draw(topic, images))
    return lines


def run_lines(topics: list[Json]) -> list[str]:
    """What ran it, how long, and how busy it was."""
    if not topics:
        return []
    machine = topics[0]["facts"]["machine"]
    minutes = sum(topic["facts"]["seconds"] for topic in topics) / 60
    busy = [
        max(topic["facts"]["others_before"], topic["facts"]["others_after"]) for topic in topics
    ]
    vectors = ", ".join(machine["vectors"]) or "unknown vector instructions"
    lines = [
        f"{machine['processor']}, {machine['processors']} processors, {machine['threads']} threads "
        f"used; {vectors}. {machine['system']}, Python {machine['python']}, torch "
        f"{machine['torch']}, transformers {machine['transformers']}. {len(topics)} topics in "
        f"{minutes:.0f} minutes; between them other programs used up to {max(busy):.2f} processors."
    ]
    if max(busy) > 0.15:
        lines += ["", "**The machine was busy: ratios may hold, seconds and shares do not.**"]
    if any(topic["facts"]["quick"] for topic in topics):
        lines += ["", "**Quick sizes: these figures only show that everything runs.**"]
    return lines


def bar_lines(topics: list[Json]) -> list[str]:
    """Every bar beside its figure."""
    lines = ["| work | bar | stretch | measured | |", "|---|---|---|---|---|"]
    for bar in (bar for topic in topics for bar in topic["bars"]):
        lines.append(
            f"| {bar['work']} | {_limit(bar, bar['at_least'] or bar['at_most'])} "
            f"| {_limit(bar, bar['stretch'])} | {_figure(bar['value'])}{bar['unit']} "
            f"| {_verdict(bar)} |"
        )
    return lines


def _verdict(bar: Json) -> str:
    named = bar["at_least"] is not None or bar["at_most"] is not None
    if bar["stretched"]:
        word = "stretch met"
    elif not named:
        word = "below the stretch"
    elif bar["met"]:
        word = "met"
    else:
        word = "**missed**" if bar["binds"] else "does not bind here"
    return f"{word}: {bar['why']}" if bar["why"] else word


def _limit(bar: Json, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'at most ' if bar['at_most'] is not None else ''}{value:g}{bar['unit']}"


def _figure(value: float) -> str:
    """Three digits, without an exponent where that reads well."""
    if value != 0 and (abs(value) < 0.001 or abs(value) >= 1e6):
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def topic_lines(topic: Json, *, drawn: Sequence[Path] = ()) -> list[str]:
    """One topic's part of the page, in Markdown."""
    lines = [f"## {topic['title']}", "", topic["about"], ""]
    for path in drawn:
        lines += [f"![{topic['title']}]({IMAGES}/{path.name})", ""]
    for comparison in topic["comparisons"]:
        lines += [*comparison_lines(comparison), ""]
    for table in topic["tables"]:
        lines += [f"**{table['title']}**", "", *table_lines(table["header"], table["rows"]), ""]
    for note in topic["notes"]:
        lines += [note, ""]
    return lines


def comparison_lines(comparison: Json) -> list[str]:
    """A row for each rival; the roof's rate stands below, for it has no part in the race."""
    racing = [each for each in comparison["found"] if not each["name"].startswith("roof ")]
    counted = any(each["of_roof"] for each in racing)
    header = ["", "seconds", "range", f"times as fast as {comparison['reference']}", "range", "MB"]
    rows = []
    for each in racing:
        seconds, ratios = each["seconds"], each["ratios"]
        row = [
            each["name"],
            _figure(each["median"]),
            f"{_figure(min(seconds))} to {_figure(max(seconds))}",
            f"{each['ratio']:.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{each['peak_mb']:,.0f}",
        ]
        if counted:
            share = f"{100 * each['of_roof']:.0f}%" if each["of_roof"] else ""
            row += [_figure(each["rate"]) if each["rate"] else "", share]
        rows.append(row)
    if counted:
        header += ["GFLOP/s", "of the roof"]
    lines = [f"**{comparison['title']}**", "", *table_lines(header, rows)]
    roofs = [each for each in comparison["found"] if each["name"].startswith("roof ")]
    told = [f"{each['name'].split()[-1]} {_figure(each['rate'])}" for each in roofs]
    rounds = f"{comparison['rounds']} rounds by turns"
    return [*lines, "", f"{rounds}; roof, GFLOP/s: {', '.join(told)}." if told else f"{rounds}."]


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of cells."""
    return [
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
