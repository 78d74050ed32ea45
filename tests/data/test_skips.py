import logging

import pytest

from mplug.data.batch import Skipped
from mplug.data.skips import Skips
from mplug.errors import DataError


def test_a_picture_is_counted_and_named_once_however_often_it_is_met(
    caplog: pytest.LogCaptureFixture,
) -> None:
    skips = Skips(100, max_bad_share=0.02)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            skips.add((Skipped(7, "a.jpg", "empty"), Skipped(8, "b.jpg", "truncated")))
    assert skips.share == 0.02
    assert caplog.messages == ["skipped a.jpg: empty", "skipped b.jpg: truncated"]


def test_the_run_stops_when_the_share_passes_its_limit() -> None:
    skips = Skips(100, max_bad_share=0.01)
    skips.add((Skipped(7, "a.jpg", "empty"),))
    with pytest.raises(DataError, match="2 of 100 training items") as error:
        skips.add((Skipped(9, "c.jpg", "not an image"),))
    assert "a.jpg: empty" in str(error.value)
    assert "c.jpg: not an image" in str(error.value)


def test_a_long_list_is_cut_and_says_so() -> None:
    skips = Skips(20, max_bad_share=0.5)
    with pytest.raises(DataError, match="and 2 more"):
        skips.add(tuple(Skipped(item, f"{item}.jpg", "empty") for item in range(12)))
