"""The page of the benchmarks: bars and their verdicts, shares of the roof, text that is kept."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.harness import Bar, Comparison, Curve, Found, Table, Topic
from benchmarks.plots import draw
from benchmarks.results import save

MACHINE = {
    "processor": "a processor",
    "processors": 2,
    "vectors": ["avx2"],
    "system": "a system",
    "python": "3",
    "torch": "2",
    "transformers": "5",
    "threads": 2,
}


def found(name: str, seconds: list[float], ratios: list[float], gflop: float = 0.0) -> Found:
    counts = {"gflop": gflop} if gflop else {}
    return Found(name, seconds, ratios, 1.0, 1.0, 1234.0, 1.0, counts)


def a_topic() -> Topic:
    rivals = [
        found("BLIP", [4.0, 4.0, 8.0], [1, 1, 1]),
        found("mplug fp32", [2.0, 2.0, 2.0], [2, 2, 4], gflop=100.0),
        found("roof fp32", [0.5, 0.5, 0.5], [8, 8, 16], gflop=50.0),
    ]
    bars = [
        Bar("captions", 2.0, at_least=1.5, stretch=2.1),
        Bar("int8", 2.0, at_least=4, binds=False, why="no hardware for int8"),
        Bar("help", 0.25, at_most=0.2, unit=" s"),
        Bar("share", 50.0, stretch=60, unit="%"),
    ]
    facts = {
        "machine": MACHINE,
        "seconds": 90.0,
        "others_before": 0.0,
        "others_after": 0.02,
        "quick": False,
    }
    return Topic(
        "captioning",
        title="Captions",
        about="What was run.",
        comparisons=[Comparison("batch 4", "BLIP", 2, 3, rivals)],
        bars=bars,
        tables=[Table("Scores", ["", "CIDEr-D"], [["fp32", "1.0"]])],
        curves=[Curve("By batch", "batch", "s", {"mplug": [(1, 1), (4, 3)]})],
        facts=facts,
    )


def test_a_row_says_seconds_ratio_memory_and_the_share_of_the_roof() -> None:
    comparison = a_topic().comparisons[0].as_json()
    lines = page.comparison_lines(comparison)
    assert "| mplug fp32 | 2 | 2 to 2 | 2.00 | 2.00 to 4.00 | 1,234 | 50 | 50% |" in lines
    assert lines[-1] == "3 rounds by turns; roof, GFLOP/s: fp32 100."
    assert not any(line.startswith("| roof") for line in lines)


def test_every_bar_has_its_verdict() -> None:
    lines = page.bar_lines([a_topic().as_json()])
    assert lines[2:] == [
        "| captions | 1.5x | 2.1x | 2x | met |",
        "| int8 | 4x |  | 2x | does not bind here: no hardware for int8 |",
        "| help | at most 0.2 s |  | 0.25 s | **missed** |",
        "| share |  | 60% | 50% | below the stretch |",
    ]


def test_figures_are_written_between_the_marks_and_all_else_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = save(a_topic(), tmp_path)
    assert json.loads(written.read_text())["comparisons"][0]["found"][1]["of_roof"] == 0.5
    target = tmp_path / "docs" / "performance.md"
    target.parent.mkdir()
    target.write_text(f"by hand\n{page.BEGIN}\nold\n{page.END}\nalso by hand\n")
    for _ in range(2):
        page.write(tmp_path, target, order=["missing", "captioning"])
        text = target.read_text()
        assert text.startswith("by hand\n")
        assert text.endswith("\nalso by hand\n")
        assert "old" not in text
        assert text.count("## Captions") == 1
    for named in ("captioning.svg", "captioning-by-batch.svg"):
        assert (target.parent / page.IMAGES / named).exists()
        assert f"({page.IMAGES}/{named})" in text


def test_a_curve_of_logarithms_names_what_was_measured_in_plain_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    points = {"measured": [(10_000.0, 0.001), (1_000_000.0, 0.05)]}
    topic = replace(a_topic(), curves=[Curve("Search", "vectors", "s", points, log=True)])
    _, path = draw(json.loads(json.dumps(topic.as_json())), tmp_path)
    # Text is drawn as outlines, and each is named by what it says.
    said = set(re.findall(r"<!-- (.+?) -->", path.read_text()))
    assert {"10,000", "1,000,000", "0.01"} <= said
    assert not any("mathdefault" in text for text in said)


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "performance.md"
    target.write_text("all by hand\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        page.write(tmp_path, target, order=[])
    assert target.read_text() == "all by hand\n"
