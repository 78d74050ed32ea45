"""What a run says, on disk and on screen."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from mplug.training.logging import (
    JsonLines,
    PlainReporter,
    RichReporter,
    Window,
    describe,
    format_seconds,
)
from tests.training.toy import ALONE

LINE: dict[str, Any] = {
    "kind": "train",
    "step": 40,
    "itc_blind": 3.4657,
    "itc": 2.1004,
    "itc_accuracy": 0.3125,
    "temperature": 0.0701,
    "lr": 0.00195,
    "examples_per_second": 151.6,
    "seconds": 8.0,
    "seconds_left": 200.4,
}


def test_a_line_shows_each_loss_beside_its_blind_value_then_speed_and_time_left() -> None:
    assert describe(LINE, steps=400) == (
        "step 40/400  itc 2.1 (blind 3.47)  itc_accuracy 31.2%  temperature 0.0701  lr 0.0019  "
        "152 examples/s  3 min 20 s left"
    )


def test_an_evaluation_says_so() -> None:
    line = {"kind": "evaluation", "step": 40, "validation_recall_at_1": 0.5}
    assert describe(line, steps=400) == "evaluation at step 40/400  validation_recall_at_1 50.0%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.6, "8 s"), (60.0, "1 min 00 s"), (3599.7, "1 h 00 min"), (7500.0, "2 h 05 min")],
)
def test_durations_are_words(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_json_lines_are_whole_and_hold_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):  # the second session appends
        lines = JsonLines(path)
        lines.start(step=step, steps=2)
        lines.note("not for machines")
        lines.line({"kind": "train", "step": step, "loss": math.inf / step if step == 2 else 0.5})
        lines.sync()
        lines.close()
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"kind": "train", "step": 1, "loss": 0.5},
        {"kind": "train", "step": 2, "loss": None},
    ]


def test_plain_lines_go_to_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = PlainReporter()
    reporter.start(step=20, steps=400)
    reporter.line(LINE)
    reporter.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "continuing at step 20 of 400"
    assert second == describe(LINE, steps=400)


def test_a_terminal_gets_the_same_line_and_a_bar_with_speed_and_time_left() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=160, color_system=None)
    reporter = RichReporter(console)
    reporter.start(step=20, steps=400)
    reporter.line(LINE)
    reporter.close()
    text = file.getvalue()
    assert "itc 2.1 (blind 3.47)" in text
    assert "40/400" in text
    assert "152 examples/s, 3 min 20 s left" in text


def test_a_window_averages_each_log_over_the_batches_that_had_it() -> None:
    window = Window({"itc": [4.0]})
    window.add({"itc": torch.tensor(2.0), "itm": torch.tensor(1.0)})
    window.add({"itc": torch.tensor(3.0)})
    assert window.settle(ALONE) == {"itc": [4.0, 2.0, 3.0], "itm": [1.0]}
    assert window.means(ALONE) == {"itc": 3.0, "itm": 1.0}
    assert window.means(ALONE) == {}
