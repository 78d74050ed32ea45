"""Charts: round ticks, points where they belong, words for those who cannot see them."""

import xml.etree.ElementTree as ElementTree

import pytest

from mplug.interfaces.report.chart import description, line_chart, score_bar, ticks
from mplug.interfaces.report.content import Curve, Score

CURVE = Curve("itc", ((0, 4.0), (50, 2.0), (100, 1.0)), ((50, 3.5),))


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3.47, [0, 1, 2, 3, 4]),
        (0.637, [0, 0.2, 0.4, 0.6, 0.8]),
        (1200.0, [0, 250, 500, 750, 1000, 1250]),
        (0.0, [0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round_and_reach_the_top(top: float, expected: list[float]) -> None:
    assert ticks(top) == pytest.approx(expected)


def test_a_loss_falls_on_the_page_as_it_falls_in_the_run() -> None:
    chart = ElementTree.fromstring(line_chart(CURVE))
    lines = {line.get("class"): line.get("points") for line in chart.iter("polyline")}
    assert set(lines) == {"measured", "line", "blind"}
    places = [tuple(map(float, pair.split(","))) for pair in str(lines["measured"]).split()]
    across, down = zip(*places, strict=True)
    assert list(across) == sorted(across)
    assert list(down) == sorted(down)  # SVG counts downwards
    # The middle step lies half-way, and 2 of 4 half-way up.
    assert places[1] == pytest.approx(((across[0] + across[2]) / 2, 10 + (210 - 10 - 30) / 2))


def test_a_single_blind_value_holds_for_the_whole_run() -> None:
    chart = ElementTree.fromstring(line_chart(CURVE))
    (blind,) = (line for line in chart.iter("polyline") if line.get("class") == "blind")
    assert len(str(blind.get("points")).split()) == 2


def test_a_chart_says_in_words_what_it_shows() -> None:
    assert description(CURVE) == ("itc goes from 4 to 1 in 100 steps; its blind value ends at 3.5")


def test_a_bar_is_as_long_as_its_score() -> None:
    score = Score("captioning", "test", "cider_d", 2.5, 2.0, 3.0, 9, {"chance": 1.0})
    bar = ElementTree.fromstring(score_bar(score))
    fill, tick = (
        next(part for part in bar.iter() if part.get("class") == name) for name in ("fill", "tick")
    )
    assert fill.get("width") == "25.00%"
    assert tick.get("x1") == "10.00%"
