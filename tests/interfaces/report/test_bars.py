import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from mplug.interfaces.report.bars import Bar, Panel, description, picture

SVG = "{http://www.w3.org/2000/svg}"
PANELS = [
    Panel("256 px", [Bar("skip", 1.0, 0.9, 1.1), Bar("connected <all>", 3.0, 2.5, 3.5, mark=4.0)]),
    Panel("384 px", [Bar("skip", 2.0, 2.0, 2.0)]),
    Panel("words", []),
]


def test_lengths_are_in_proportion_and_begin_at_one_line() -> None:
    root = ET.fromstring(picture(PANELS, about="bars"))
    first, second, other = root.iter(f"{SVG}rect")
    assert first.get("x") == second.get("x") == other.get("x")
    lengths = [float(bar.get("width", "nan")) for bar in (first, second)]
    assert abs(lengths[1] / lengths[0] - 3) < 1e-3


def test_a_mark_beyond_every_bar_is_still_on_the_scale() -> None:
    root = ET.fromstring(picture(PANELS, about="bars"))
    lines = list(root.iter(f"{SVG}line"))
    marks = [float(line.get("x1", "nan")) for line in lines if line.get("class") == "mark"]
    grid = [float(line.get("x1", "nan")) for line in lines if line.get("class") == "grid"]
    assert len(marks) == 1
    assert marks[0] <= max(grid)


def test_panels_lie_beside_and_below_each_other() -> None:
    root = ET.fromstring(picture(PANELS, about="what bars are"))
    places = [part.get("transform", "") for part in root.findall(f"{SVG}g")]
    assert len(set(places)) == 3
    tops = [int(place.split()[1].rstrip(")")) for place in places]
    assert tops[0] == tops[1] < tops[2]
    assert all(before <= after for before, after in pairwise(tops))
    assert "what bars are" in picture(PANELS, about="what bars are")


def test_a_panel_is_told_in_words_too() -> None:
    assert description(PANELS[0]) == "256 px: skip 1.00, connected <all> 3.00"


@pytest.mark.parametrize("mark", [1.0, 1.3, 1.6, 9.0])
def test_a_number_is_not_written_across_the_mark(mark: float) -> None:
    bars = [Bar("near", 1.0, 0.9, 1.2, mark), Bar("far", 9.0, 9.0, 9.0)]
    root = ET.fromstring(picture([Panel("places", bars)], about="bars"))
    (number,) = [each for each in root.iter(f"{SVG}text") if each.text == "1.00"]
    (drawn,) = [each for each in root.iter(f"{SVG}line") if each.get("class") == "mark"]
    begins, at = float(number.get("x", "nan")), float(drawn.get("x1", "nan"))
    assert not begins <= at <= begins + 34  # four characters of 12 px and some
