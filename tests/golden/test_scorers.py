"""The official evaluations' scores are reproduced, and a wrong one is noticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from mplug.metrics import official_jars
from mplug.metrics.caption_figures import Tokenised, caption_figures
from tests.golden.run import main
from tests.golden.scorers import OFFICIAL_NAMES, check_captions, check_vqa

HERE = Path(__file__).parent
NO_JAVA = "METEOR needs Java"
CANDIDATES = ["A cat sleeps.", "Two dogs"]
REFERENCES = [["a cat sleeps", "The cat."], ["two dogs run"]]


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official_jars, "why_no_meteor", lambda: NO_JAVA)


def scores() -> dict[str, Any]:
    """What a set of two images holds; METEOR is not known here."""
    figures = caption_figures(Tokenised.of(CANDIDATES, REFERENCES), split="t")
    made = {each.metric: (each.value, each.per_image.tolist()) for each in figures}
    known = {
        name: dict(zip(("corpus", "per_image"), made[metric], strict=True))
        for name, metric in OFFICIAL_NAMES.items()
        if metric in made
    }
    return known | {"METEOR": {"corpus": 0.3, "per_image": [0.4, 0.2]}}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A folder of both sets, as small as they get."""
    (tmp_path / "captions").mkdir()
    (tmp_path / "vqa").mkdir()
    tokens = [
        {"caption": "A cat's hat.", "tokens": "a cat 's hat"},
        {"caption": "...", "tokens": ""},
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in tokens)
    (tmp_path / "captions" / "tokens.jsonl").write_text(lines, encoding="utf-8")
    change(tmp_path / "captions" / "scores.json", candidates=CANDIDATES, references=REFERENCES)
    change(tmp_path / "captions" / "scores.json", scores=scores())
    question = {"question_type": "what", "answer_type": "other", "answers": ["cat"] * 9 + ["dog"]}
    change(
        tmp_path / "vqa" / "vqa.json",
        questions=[{**question, "prediction": "the cat", "accuracy_percent": 100}],
        overall_percent=100.0,
        per_question_type_percent={"what": 100.0},
        per_answer_type_percent={"other": 100.0},
        normalisation=[{"raw": "Two dogs", "normalised": "2 dogs"}],
    )
    return tmp_path


def change(file: Path, **values: Any) -> None:
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(known | values), encoding="utf-8")


def failures(folder: Path) -> list[str]:
    tallies = [*check_captions(folder / "captions").values(), *check_vqa(folder / "vqa").values()]
    return [failure for tally in tallies for failure in tally.failures]


def test_every_token_score_accuracy_and_string_is_reproduced() -> None:
    captions, vqa = check_captions(HERE / "captions"), check_vqa(HERE / "vqa")
    tokens, figures, accuracies = captions["tokens"], captions["scores"], vqa["accuracies"]
    assert (tokens.checked, tokens.failures) == (32244, [])
    assert (figures.checked, figures.failures) == (6 * 301, [])
    # Questions, the overall accuracy, five and three kinds, strings, two tables of words.
    assert (accuracies.checked, accuracies.failures) == (1500 + 1 + 5 + 3 + 484 + 120 + 12, [])


def test_the_last_line_counts_everything_and_meteor_is_not_skipped_in_silence(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(golden) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"  not checked: captions: {NO_JAVA}" in lines
    assert lines[-1].startswith("golden: 28 checked, 0 failed, worst ")


def test_a_wrong_token_is_a_failure(golden: Path) -> None:
    file = golden / "captions" / "tokens.jsonl"
    file.write_text(file.read_text("utf-8").replace("'s hat\"", 's hat"'), encoding="utf-8")
    assert failures(golden) == ["tokens.jsonl line 1[2]: 's, not s"]


def test_a_score_off_by_more_than_1e_9_is_a_failure(golden: Path) -> None:
    wrong = scores()
    wrong["CIDEr-D"]["per_image"][1] += 2e-9
    wrong["BLEU-4"]["corpus"] += 1e-10
    change(golden / "captions" / "scores.json", scores=wrong)
    [failure] = failures(golden)
    assert failure.startswith("CIDEr-D/per_image[1]: ")


def test_a_wrong_accuracy_and_a_wrong_string_are_failures(golden: Path) -> None:
    strings = [{"raw": "Two dogs", "normalised": "two dogs"}]
    change(golden / "vqa" / "vqa.json", overall_percent=99.0, normalisation=strings)
    assert failures(golden) == [
        "overall_percent: 100.0, not 99.0",
        "normalisation/Two dogs: 2 dogs, not two dogs",
    ]


def test_what_nothing_reads_fails_and_so_does_a_missing_file(golden: Path) -> None:
    change(golden / "captions" / "scores.json", scores=scores() | {"WMD": {"corpus": 1.0}})
    change(golden / "vqa" / "vqa.json", per_image_percent={"a": 1.0})
    (golden / "captions" / "tokens.jsonl").unlink()
    assert failures(golden) == [
        f"tokens.jsonl: not in {golden / 'captions'}",
        "WMD/corpus: nothing reads it",
        "per_image_percent/a: nothing reads it",
    ]
