"""Curves from metrics.jsonl: pairing with blind values, thinning, broken files."""

import math
from pathlib import Path

import pytest

from mplug.errors import DataError
from mplug.interfaces.report.content import Curve
from mplug.interfaces.report.curves import curves_from, ending, read_metrics, smoothed, thinned

RECORDS = [
    {"step": 10, "itc": 3.0, "itc_blind": 3.5, "lr": 0.1},
    {"step": 20, "itc": 2.0, "itc_accuracy": 0.4, "mlm": 1.0},
    {"step": 30, "itc": 1.0, "itc_blind": 3.5, "mlm": math.nan},
]


def test_every_loss_with_a_blind_value_becomes_a_curve() -> None:
    assert curves_from(RECORDS) == (
        Curve("itc", ((10, 3.0), (20, 2.0), (30, 1.0)), ((10, 3.5), (30, 3.5))),
    )


def test_other_values_are_drawn_when_asked_for() -> None:
    names = [curve.name for curve in curves_from(RECORDS, also=["itc_accuracy", "itm"])]
    assert names == ["itc", "itc_accuracy"]


def test_a_step_written_again_after_a_resume_counts_once() -> None:
    (curve,) = curves_from([*RECORDS, {"step": 20, "itc": 2.5}])
    assert curve.points == ((10, 3.0), (20, 2.5), (30, 1.0))


def test_values_that_are_no_numbers_leave_no_point() -> None:
    (_, curve) = curves_from(RECORDS, also=["mlm"])
    assert curve.points == ((20, 1.0),)


def test_thinning_averages_neighbours_and_loses_none() -> None:
    assert thinned(((1, 1.0), (2, 3.0), (3, 5.0), (4, 7.0)), most=2) == ((1.5, 2.0), (3.5, 6.0))
    few = thinned(tuple((step, 1.0) for step in range(1000)), most=7)
    assert len(few) == 7
    assert {value for _, value in few} == {1.0}


def test_smoothing_keeps_a_straight_line_and_every_step() -> None:
    line = tuple((float(step), 2.0) for step in range(100))
    assert smoothed(line) == line
    assert smoothed(((0.0, 1.0), (1.0, 9.0))) == ((0.0, 1.0), (1.0, 9.0))


def test_the_end_of_a_curve_is_the_mean_of_its_last_twentieth() -> None:
    assert ending(tuple((step, float(step)) for step in range(1, 41))) == 39.5
    assert ending(((1, 4.0),)) == 4.0


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "itc": 2.0}\n{"step": 2, "it')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: not a line of JSON"):
        read_metrics(path)
    path.write_text("[1]\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl:1: expected an object"):
        read_metrics(path)
    with pytest.raises(DataError, match="did training start"):
        read_metrics(tmp_path / "nothing.jsonl")


def test_what_a_run_wrote_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "itc": 2.0, "itc_blind": 3.0}\n')
    assert curves_from(read_metrics(path)) == (Curve("itc", ((1, 2.0),), ((1, 3.0),)),)
