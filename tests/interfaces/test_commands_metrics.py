"""`mplug metrics`: official files in, figures with signatures out, with or without Java."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mplug.errors import DataError
from mplug.interfaces.commands_metrics import metrics
from mplug.metrics import official_jars

GOLDEN = Path(__file__).parents[1] / "golden"
OFFICIAL: dict[str, Any] = json.loads((GOLDEN / "captions" / "scores.json").read_text("utf-8"))
VQA: dict[str, Any] = json.loads((GOLDEN / "vqa" / "vqa.json").read_text("utf-8"))
NAMES = {f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)} | {
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
}


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official_jars, "why_no_meteor", lambda: "METEOR needs Java")
    monkeypatch.setattr(official_jars, "why_no_spice", lambda: "SPICE needs Java")


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(metrics, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def captions(tmp_path: Path) -> list[Path]:
    """The golden captions in the official formats, images in another order, one unpredicted."""
    annotations = [
        {"image_id": image, "id": 1000 * image, "caption": text}
        for image, texts in enumerate(OFFICIAL["references"])
        for text in texts
    ]
    predictions = [
        {"image_id": image, "caption": text} for image, text in enumerate(OFFICIAL["candidates"])
    ]
    more = [{"image_id": 999, "id": 1, "caption": "nobody describes this one"}]
    return [
        write(tmp_path / "val.json", {"annotations": [*more, *annotations[::-1]]}),
        write(tmp_path / "predicted.json", predictions[::-1]),
    ]


@pytest.fixture
def vqa(tmp_path: Path) -> list[Path]:
    """The golden questions in the official formats."""
    rows = list(enumerate(VQA["questions"]))
    annotations = [
        {
            "question_id": number,
            "question_type": row["question_type"],
            "answer_type": row["answer_type"],
            "answers": [{"answer": answer} for answer in row["answers"]],
        }
        for number, row in rows
    ]
    results = [{"question_id": number, "answer": row["prediction"]} for number, row in rows]
    questions = [{"question_id": number, "question": "?"} for number, _ in rows]
    return [
        write(tmp_path / "questions.json", {"questions": questions}),
        write(tmp_path / "people.json", {"data_subtype": "val2014", "annotations": annotations}),
        write(tmp_path / "results.json", results[::-1]),
    ]


@pytest.mark.usefixtures("no_java")
def test_caption_figures_are_the_official_ones(captions: list[Path]) -> None:
    found = json.loads(run("captions", *captions, "--json"))
    figures = {figure["metric"]: figure for figure in found["figures"]}
    assert {metric: figure["value"] for metric, figure in figures.items()} == pytest.approx(
        {metric: OFFICIAL["scores"][name]["corpus"] for metric, name in NAMES.items()}, abs=1e-9
    )
    assert (found["images"], found["unpredicted_images"], found["split"]) == (300, 1, "val")
    assert figures["cider_d"]["signature"] == (
        f"cider_d|version:1|split:val|images:300|references:{found['references']}"
        "|tokeniser:ptb-3.4.1|document_frequency:references|n:1-4|sigma:6"
    )
    assert found["missing"] == ["METEOR needs Java", "SPICE needs Java"]


@pytest.mark.usefixtures("no_java")
def test_caption_figures_read_as_lines(captions: list[Path]) -> None:
    lines = run("captions", *captions, "--split", "mine").splitlines()
    assert lines[0].startswith("300 images, ")
    assert lines[1] == f"left out: 1 images of {captions[0]} without a prediction"
    bleu = OFFICIAL["scores"]["BLEU-4"]["corpus"]
    [line] = [line for line in lines if line.startswith("bleu_4")]
    assert line.split()[:2] == ["bleu_4", f"{bleu:.4f}"]
    assert "|split:mine|" in line
    assert lines[-2:] == ["not scored: METEOR needs Java", "not scored: SPICE needs Java"]


def test_vqa_figures_are_the_official_ones(vqa: list[Path]) -> None:
    found = json.loads(run("vqa", *vqa, "--json"))
    values = {figure["metric"]: figure["value"] for figure in found["figures"]}
    expected = {"vqa_accuracy": VQA["overall_percent"]}
    for field in ("answer_type", "question_type"):
        expected |= {
            f"vqa_accuracy, {field} {kind!r}": value
            for kind, value in VQA[f"per_{field}_percent"].items()
        }
    assert values == pytest.approx(expected, abs=1e-6)
    assert (found["questions"], found["split"]) == (1500, "val2014")


def test_vqa_figures_read_as_lines(vqa: list[Path]) -> None:
    lines = run("vqa", *vqa, "--split", "mine").splitlines()
    assert lines[0] == "1500 questions"
    assert lines[1].split() == [
        "vqa_accuracy",
        f"{VQA['overall_percent']:.2f}",
        "vqa_accuracy|version:1|split:mine|questions:1500|answers:15000"
        "|normalisation:vqa_v2|score:others/3",
    ]
    assert any("|answer_type:yes/no|" in line for line in lines)


def test_faults_of_the_files_are_users_errors(captions: list[Path], vqa: list[Path]) -> None:
    with pytest.raises(DataError, match="expected a list, found an object with annotations"):
        run("captions", captions[0], captions[0])
    write(vqa[2], [row for row in json.loads(vqa[2].read_text()) if row["question_id"] != 3])
    with pytest.raises(DataError, match="results.json: nothing for question 3"):
        run("vqa", *vqa)


def test_without_java_and_in_another_language_the_figures_are_the_same(
    captions: list[Path], tmp_path: Path
) -> None:
    code = "from mplug.interfaces.cli import main; main()"
    words = [sys.executable, "-c", code, "metrics", "captions", *map(str, captions)]
    said = []
    for language in ("C", "de_DE.UTF-8"):
        environment = os.environ | {"PATH": str(tmp_path), "LC_ALL": language}
        done = subprocess.run(
            words, capture_output=True, env=environment, text=True, encoding="utf-8", check=True
        )
        said.append(done.stdout)
    assert said[0] == said[1]
    assert "not scored: METEOR needs Java (the program java, 8 or later)" in said[0]
