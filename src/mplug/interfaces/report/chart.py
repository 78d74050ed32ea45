"""Line charts and score bars as inline SVG, coloured by the page's style."""

import math

from mplug.interfaces.report.content import Curve, Score
from mplug.interfaces.report.curves import ending, smoothed, thinned
from mplug.interfaces.report.markup import Markup, element, joined

WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 42, 14, 10, 30
MOST_POINTS = 200

Points = tuple[tuple[float, float], ...]


def line_chart(curve: Curve) -> Markup:
    """The loss smoothed over its faint measurements, its blind value dashed, from 0 upwards."""
    measured = thinned(curve.points, most=MOST_POINTS)
    lines = {
        "measured": measured,
        "blind": thinned(curve.blind, most=MOST_POINTS),
        "line": smoothed(measured),
    }
    every = [point for points in lines.values() for point in points]
    last_step = max((step for step, _ in every), default=1.0)
    upward = ticks(max((value for _, value in every), default=1.0))
    place = _Frame(last_step, upward[-1])
    across = [step for step in ticks(last_step) if step <= last_step]
    return element(
        "svg",
        _grid(place, across, upward),
        *(_line(place, points, style) for style, points in lines.items() if points),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=description(curve),
    )


def description(curve: Curve) -> str:
    """The chart in words, for those who cannot see it."""
    first, last = curve.points[0][1], ending(curve.points)
    words = f"{curve.name} goes from {first:.3g} to {last:.3g} in {curve.points[-1][0]} steps"
    return f"{words}; its blind value ends at {ending(curve.blind):.3g}" if curve.blind else words


def ticks(top: float) -> list[float]:
    """Round numbers from 0 to at least `top`, three to six of them."""
    if top <= 0:
        return [0.0, 0.5, 1.0]
    power = 10.0 ** math.floor(math.log10(top))
    step = next(
        size * power for size in (0.2, 0.25, 0.5, 1, 2, 2.5) if math.ceil(top / (size * power)) <= 5
    )
    return [place * step for place in range(max(2, math.ceil(top / step)) + 1)]


def score_bar(score: Score) -> Markup:
    """A bar to the value, a whisker over its interval, and a tick at each baseline."""

    def at(value: float) -> str:
        return f"{100 * value / score.scale:.2f}%"

    low, high, value = at(score.low), at(score.high), at(score.value)
    baselines = [
        element(
            "line",
            element("title", f"{name}: {worth:.4g}"),
            class_="tick",
            x1=at(worth),
            x2=at(worth),
            y1=1,
            y2=23,
        )
        for name, worth in score.baselines.items()
    ]
    return element(
        "svg",
        element("rect", class_="track", x=0, y=6, width="100%", height=12, rx=3),
        element("rect", class_="fill", x=0, y=6, width=value, height=12, rx=3),
        *baselines,
        element("line", class_="whisker", x1=low, x2=high, y1=12, y2=12),
        *(element("line", class_="whisker", x1=end, x2=end, y1=8, y2=16) for end in (low, high)),
        class_="bar",
        height=24,
        aria_hidden="true",
    )


class _Frame:
    """Where a step and a value lie on the chart."""

    def __init__(self, last_step: float, top: float) -> None:
        self._last_step, self._top = last_step, top

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self._last_step

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self._top


def _grid(place: _Frame, across: list[float], upward: list[float]) -> Markup:
    rows = [
        joined(
            element(
                "line",
                class_="grid",
                x1=LEFT,
                x2=WIDTH - RIGHT,
                y1=place.y(value),
                y2=place.y(value),
            ),
            element("text", f"{value:g}", x=LEFT - 6, y=place.y(value) + 4, text_anchor="end"),
        )
        for value in (round(value, 6) for value in upward)
    ]
    columns = [
        element(
            "text",
            _steps(step),
            x=place.x(step),
            y=HEIGHT - 8,
            text_anchor="middle",
        )
        for step in across
    ]
    return joined(*rows, *columns)


def _steps(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"


def _line(place: _Frame, points: Points, style: str) -> Markup:
    if len(points) == 1:  # one measurement holds for the whole run
        points = ((0.0, points[0][1]), points[0])
    path = " ".join(f"{place.x(step):.1f},{place.y(value):.1f}" for step, value in points)
    return element("polyline", points=path, class_=style)
