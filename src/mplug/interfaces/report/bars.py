"""Panels of bars with whiskers and marks, as an SVG file of its own."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mplug.interfaces.report.chart import ticks
from mplug.interfaces.report.markup import Markup, element

WIDTH, COLUMNS = 440, 2
LABELS, VALUES = 160, 58  # room left and right of the bars
ROW, TITLE, FOOT, GAP = 22, 28, 26, 18
NUMBER = 40  # the room that a value takes
STYLE = """
svg { background: #fff; font: 12px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; } .grid { stroke: #ddd; } .fill { fill: #7fa3e0; }
.whisker { stroke: #1b3f7a; stroke-width: 1.5; } .mark { stroke: #b4530a; stroke-width: 2.5; }
"""


class Bar(NamedTuple):
    """A value with its interval, and what it stands beside, if anything."""

    label: str
    value: float
    low: float
    high: float
    mark: float | None = None


class Panel(NamedTuple):
    """Bars on one scale, which begins at 0."""

    title: str
    bars: Sequence[Bar]


def picture(panels: Sequence[Panel], *, about: str, form: str = "{:.2f}") -> str:
    """The panels, two in a row; `about` is a line below them that says what bars and marks are."""
    columns = min(COLUMNS, len(panels)) or 1
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    shown, top = [], 0
    for row in rows:
        for column, panel in enumerate(row):
            shown.append(
                element(
                    "g",
                    _panel(panel, form=form),
                    transform=f"translate({column * (WIDTH + GAP)} {top})",
                )
            )
        top += max(_height(panel) for panel in row) + GAP
    width, height = columns * (WIDTH + GAP), top + 2 * ROW
    return element(
        "svg",
        element("style", Markup(STYLE)),
        *shown,
        element("text", about, x=8, y=top + ROW),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label="; ".join(description(panel, form=form) for panel in panels),
    )


def description(panel: Panel, *, form: str = "{:.2f}") -> str:
    """A panel in words, for those who cannot see it."""
    values = ", ".join(f"{bar.label} {form.format(bar.value)}" for bar in panel.bars)
    return f"{panel.title}: {values}"


def _height(panel: Panel) -> int:
    return TITLE + ROW * len(panel.bars) + FOOT


def _panel(panel: Panel, *, form: str) -> Markup:
    largest = max((max(bar.high, bar.value, bar.mark or 0.0) for bar in panel.bars), default=1.0)
    scale = ticks(largest)
    bottom = TITLE + ROW * len(panel.bars)

    def x(value: float) -> float:
        return LABELS + (WIDTH - LABELS - VALUES) * value / scale[-1]

    grid = [
        part
        for tick in scale
        for part in (
            element("line", class_="grid", x1=x(tick), x2=x(tick), y1=TITLE - 4, y2=bottom),
            element("text", f"{round(tick, 6):g}", x=x(tick), y=bottom + 16, text_anchor="middle"),
        )
    ]
    bars = [
        part
        for place, bar in enumerate(panel.bars)
        for part in _bar(bar, x, top=TITLE + ROW * place, form=form)
    ]
    title = element("text", panel.title, class_="title", x=8, y=16)
    return element("g", title, *grid, *bars)


def _bar(bar: Bar, x: Callable[[float], float], *, top: float, form: str) -> list[Markup]:
    middle, start = top + ROW / 2 - 3, x(0.0)
    end = max(x(bar.value), x(bar.high))
    if bar.mark is not None and end < x(bar.mark) < end + NUMBER:
        end = x(bar.mark)  # a number behind the mark, not across it
    parts = [
        element("text", bar.label, x=LABELS - 8, y=middle + 4, text_anchor="end"),
        element("rect", class_="fill", x=start, y=top, width=x(bar.value) - start, height=ROW - 6),
        element("line", class_="whisker", x1=x(bar.low), x2=x(bar.high), y1=middle, y2=middle),
        element("text", form.format(bar.value), x=end + 6, y=middle + 4),
    ]
    if bar.mark is not None:
        at = x(bar.mark)
        parts.append(element("line", class_="mark", x1=at, x2=at, y1=top - 1, y2=top + ROW - 5))
    return parts
