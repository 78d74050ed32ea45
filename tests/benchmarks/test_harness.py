"""Rivals are compared in real processes: rounds, ratios, shares, failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import ROOT, Bar, Rival, RivalError, compare

TOYS = "tests.benchmarks.toys"


def sleeper(name: str, seconds: float, *, once: bool = False, share: float = 1.0) -> Rival:
    return Rival(name, TOYS, "sleeper", {"seconds": seconds}, once=once, share=share)


def test_two_rivals_take_turns_and_the_ratio_says_how_many_times_as_fast_as_the_reference() -> None:
    rivals = [sleeper("quick", 0.05), sleeper("slow", 0.2)]
    found = compare(rivals, rounds=3, threads=1, reference="slow", title="naps")
    assert [each.name for each in found.found] == ["quick", "slow"]
    assert len(found["quick"].seconds) == len(found["slow"].ratios) == 3
    assert found["slow"].ratios == [1, 1, 1]
    assert 2 < found["quick"].ratio < 5
    assert found["quick"].counts == {"calls": 3}, "one call to warm up, then the median round"
    assert found["quick"].peak_mb > 5
    assert found.as_json()["found"][0]["ratio"] == found["quick"].ratio


def test_a_slow_twin_runs_once_and_its_share_of_the_work_counts_as_the_whole() -> None:
    rivals = [sleeper("ours", 0.05), sleeper("twin", 0.1, once=True, share=0.25)]
    found = compare(rivals, rounds=2, threads=1, reference="twin", title="naps")
    assert found["twin"].counts == {"calls": 1}
    assert 0.4 <= found["twin"].median < 0.6
    assert len(found["ours"].ratios) == 2
    assert 5 < found["ours"].ratio < 10
    assert found.ratio_to("ours", "twin") == found["ours"].ratio
    assert found.ratio_to("twin", "ours") < 1 / 5


def test_a_rival_that_fails_is_named() -> None:
    rivals = [sleeper("ours", 0.0), Rival("theirs", TOYS, "broken")]
    with pytest.raises(RivalError, match="theirs: its process ended with 3"):
        compare(rivals, rounds=1, threads=1, reference="ours", title="naps")


def test_a_reference_must_be_among_the_rivals() -> None:
    with pytest.raises(ValueError, match="'other'"):
        compare([sleeper("ours", 0.0)], threads=1, reference="other", title="naps")


def test_a_bar_is_met_on_its_own_side() -> None:
    faster = Bar("captions", 1.6, at_least=1.5, stretch=2.1)
    assert (faster.met, faster.stretched) == (True, False)
    shorter = Bar("start", 0.25, at_most=0.2, unit="s")
    assert not shorter.met
    assert Bar("memory", 2.0, at_most=3.0, stretch=2.5, unit="GB").stretched


@pytest.mark.slow
def test_a_topic_runs_by_the_command_and_its_figures_reach_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    words = ["--quick", "--only", "start", "--out", str(tmp_path), "--page", str(page)]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        env=os.environ | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "start.json").read_text("utf-8"))
    assert found["facts"]["quick"]
    assert [len(each["seconds"]) for each in found["comparisons"][0]["found"]] == [2, 2, 2, 2]
    assert "| mplug --help | at most 0.2 s |" in page.read_text("utf-8")
