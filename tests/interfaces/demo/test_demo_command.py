import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mplug.interfaces.demo import command
from mplug.interfaces.demo.command import demo
from mplug.interfaces.demo.settings import DemoSettings, demo_settings
from mplug.interfaces.demo.state import DemoState
from mplug.interfaces.demo.table import table_lines

SCORE = {
    "task": "retrieval",
    "split": "unseen_artist",
    "metric": "recall_at_1_image_to_text",
    "value": 0.152,
    "low": 0.121,
    "high": 0.184,
    "n": 500,
    "baselines": {"chance": 0.002, "blank_image": 0.002},
}
SUMMARY = {"seconds": 300.5, "peak_memory_gb": 2.5, "scores": [SCORE]}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A demo that is done, as far as the command can tell."""
    folder = tmp_path / "run"
    DemoState.open(folder, settings=demo_settings(folder).plain(), fresh=False)
    (folder / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    gallery = folder / "scenes" / "unseen_artist"
    gallery.mkdir(parents=True)
    line = json.dumps({"image": "0000.png", "caption": ["a bee above a taxi"]})
    (gallery / "records.jsonl").write_text(f"{line}\n", encoding="utf-8")
    return folder


def test_a_score_stands_above_what_it_is_compared_with() -> None:
    assert list(table_lines([SCORE])) == [
        "An artist it never saw (500 scenes)",
        "   15.2%  Picture to caption, right at first try  [12.1% to 18.4%]",
        "          beside: chance 0.2%, blank picture 0.2%",
    ]


def test_a_score_that_is_no_fraction_is_no_percentage() -> None:
    lines = list(table_lines([{**SCORE, "metric": "cider_d", "value": 4.318}]))
    assert "4.32" in lines[1]
    assert "%" not in lines[1]


def test_a_finished_demo_only_shows_its_scores_and_where_they_are(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(run=finished)
    out = capsys.readouterr().out
    assert "15.2%" in out
    assert str(finished / "report.html") in out
    assert str(finished / "summary.json") in out
    assert 'unseen_artist "a bee above a taxi"' in out


def test_a_finished_demo_answers_without_torch(finished: Path) -> None:
    code = (
        "import sys; from mplug.interfaces.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--run", str(finished)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_json_is_alone_on_standard_output_whatever_other_processes_say(
    finished: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = command.run_demo

    def talkative(*words: Any, **options: Any) -> dict[str, Any]:
        subprocess.run([sys.executable, "-c", "print('a step')"], check=True)
        return plain(*words, **options)

    monkeypatch.setattr(command, "run_demo", talkative)
    demo(run=finished, as_json=True)
    captured = capfd.readouterr()
    assert json.loads(captured.out) == {
        "run": str(finished),
        "report": str(finished / "report.html"),
        **SUMMARY,
    }
    assert "a step" in captured.err
    assert "15.2%" in captured.err


@pytest.mark.parametrize(("device", "processes"), [("cpu", 2), ("cuda", 1)])
def test_it_trains_in_a_process_for_each_of_two_cores_unless_on_a_gpu(
    device: Any, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run_demo(settings: DemoSettings, **options: Any) -> dict[str, Any]:
        return asked.update(options) or {}

    monkeypatch.setattr(command, "run_demo", run_demo)
    monkeypatch.setattr(command, "available_cores", lambda: 8)
    demo(run=tmp_path, device=device)
    assert asked == {
        "folder": tmp_path,
        "fresh": False,
        "processes": processes,
        "device": device,
    }
    assert os.environ.get("WORLD_SIZE") is None
