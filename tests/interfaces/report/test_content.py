"""Parts of a report refuse what they could not show truthfully."""

import math
from dataclasses import replace

import pytest

from mplug.errors import DataError
from mplug.interfaces.report.content import Credit
from mplug.interfaces.report.examples import AskExample, BoxExample, Picture
from tests.interfaces.report.sample import scores
from tests.interfaces.report.shapes import picture

GOOD = scores()[0]


def test_a_score_is_beaten_only_where_its_whole_interval_is_above() -> None:
    score = replace(GOOD, value=0.5, low=0.4, high=0.6, baselines={"a": 0.39, "b": 0.4, "c": 0.9})
    assert score.not_beaten == ["b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": 61.2}, "value is 61.2, not from 0 to 1"),
        ({"low": math.nan}, "low is nan"),
        ({"baselines": {"chance": -0.1}}, "chance is -0.1"),
        ({"low": 0.7, "high": 0.6}, "low 0.7 is above high 0.6"),
        ({"n": 0}, "n is 0"),
        ({"split": ""}, "split is empty"),
    ],
)
def test_a_score_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **change)  # type: ignore[arg-type]


def test_cider_is_no_fraction() -> None:
    score = replace(GOOD, metric="cider_d", value=4.3, low=4.0, high=4.5)
    assert score.scale == 10


def test_pictures_are_told_by_their_bytes() -> None:
    assert Picture(b"\x89PNG\r\n\x1a\n...", "a dog").media_type == "image/png"
    assert Picture(b"\xff\xd8\xff...", "a dog").media_type == "image/jpeg"
    with pytest.raises(DataError, match="picture 'a dog': not a PNG, JPEG or WebP"):
        Picture(b"<html>", "a dog")


def test_credits_link_to_the_web_only() -> None:
    with pytest.raises(ValueError, match="no web address"):
        Credit("Noto", "Google", "Apache-2.0", "javascript:alert(1)")


def test_boxes_lie_in_their_picture_and_have_their_corners_in_order() -> None:
    whole = (0.0, 0.0, 1.0, 1.0)
    for box in ((0.5, 0.0, 0.4, 1.0), (0.0, 0.0, 1.1, 1.0)):
        with pytest.raises(ValueError, match="'the dog': found box"):
            BoxExample(picture("dog", "sun"), "test", "the dog", box, whole, 0.4, right=False)


def test_nothing_is_asked_of_no_picture_and_nobody_is_surer_than_sure() -> None:
    with pytest.raises(ValueError, match="asked of no picture"):
        AskExample((), "test", "what is this?", "a dog", "a sun")
    with pytest.raises(ValueError, match=r"sure is 1\.2"):
        AskExample((picture("dog", "sun"),), "test", "what is this?", "a dog", "a sun", sure=1.2)
