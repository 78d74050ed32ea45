import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

import mplug
from mplug.errors import DataError
from mplug.interfaces.cli import main
from mplug.interfaces.commands_ask import read_answers
from tests.clips import write_clip
from tests.tiny import SKILLS, picture, save_tiny


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder / "skilled", skills=SKILLS)
    save_tiny(folder / "plain")
    return folder


@pytest.fixture
def run(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The command line in a folder with two pictures, with a model of all skills."""
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        picture(seed, width=70, height=50).save(f"{seed}.png")

    def call(*words: str, model: str = "skilled") -> Result:
        command = ["mplug", *words, "--model", str(models / model), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        code = left.value.code
        return Result(code if isinstance(code, int) else int(code is not None), *captured)

    return call


def test_an_answer_is_a_line(run: Run, models: Path) -> None:
    result = run("answer", "1.png", "moon?")
    expected = mplug.load(models / "skilled", device="cpu").answer(
        picture(1, width=70, height=50), "moon?"
    )
    assert (result.code, result.out, result.err) == (0, f"{expected}\n", "")
    assert run("answer", "1.png", "moon?", "--json").json == {
        "image": "1.png",
        "question": "moon?",
        "answer": expected,
    }


def test_an_answer_may_come_from_a_file(run: Run) -> None:
    Path("answers.txt").write_text("green boats\n\nred\n")
    assert run("answer", "1.png", "moon?", "--answers", "answers.txt").out.strip() in {
        "green boats",
        "red",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "red \r\n\nblue\nred\n"), ("a.json", '["red", "blue", " ", "red"]')],
)
def test_answers_are_lines_or_a_json_list_each_once(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    assert read_answers(tmp_path / name) == ["red", "blue"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "cannot be read: No such file"),
        ("empty.txt", b"\n \n", "holds no answers"),
        ("latin.txt", b"\xff", "cannot be read"),
        ("half.json", b'["red"', "cannot be read"),
        ("table.json", b'{"red": 1}', "must hold a JSON list of texts"),
    ],
)
def test_a_file_without_answers_is_explained(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: {message}"):
        read_answers(tmp_path / name)


def test_a_box_is_a_line_and_several_are_lines(run: Run) -> None:
    result = run("ground", "1.png", "a red trophy")
    score, *sides = (float(cell) for cell in result.out.split("\t"))
    assert 0 <= score <= 1
    assert 0 <= sides[0] <= sides[2] <= 70
    assert 0 <= sides[1] <= sides[3] <= 50
    found = run("ground", "1.png", "a red trophy", "--best", "3", "--json").json
    assert found["size"] == [70, 50]
    assert 1 <= len(found["boxes"]) <= 3
    assert set(found["boxes"][0]) == {"x0", "y0", "x1", "y1", "score"}


def test_a_box_is_drawn_on_request(run: Run) -> None:
    result = run("ground", "1.png", "a red trophy", "--draw", "drawn/box.png", "--json")
    assert result.json["drawn"] == "drawn/box.png"
    with Image.open("drawn/box.png") as drawn:
        assert max(drawn.size) == 480
        assert drawn.width / drawn.height == pytest.approx(70 / 50, rel=0.01)


def test_a_drawing_that_cannot_be_written_is_explained(run: Run) -> None:
    result = run("ground", "1.png", "moon", "--draw", "box.txt", model="nothing")
    assert (result.code, result.out) == (2, "")
    assert "box.txt: name a picture that ends in .jpeg, .jpg, .png, .webp" in result.err
    Path("file").write_text("")
    result = run("ground", "1.png", "moon", "--draw", "file/box.png")
    assert result.code == 3
    assert "file/box.png: cannot be written" in result.err


def test_a_comparison_is_a_probability_and_a_verdict(run: Run) -> None:
    result = run("compare", "1.png", "2.png", "moon")
    probability, verdict = result.out.split()
    assert verdict == ("true" if float(probability) > 0.5 else "false")
    found = run("compare", "1.png", "2.png", "moon", "--json").json
    assert found["images"] == ["1.png", "2.png"]
    assert found["probability"] == pytest.approx(float(probability), abs=1e-3)
    assert found["verdict"] is (verdict == "true")


def test_entailment_is_three_probabilities_the_largest_first(run: Run) -> None:
    lines = [line.split("\t") for line in run("entail", "1.png", "moon").out.splitlines()]
    assert {label for _, label in lines} == {"contradiction", "neutral", "entailment"}
    probabilities = [float(probability) for probability, _ in lines]
    assert probabilities == sorted(probabilities, reverse=True)
    found = run("entail", "1.png", "moon", "--premise", "two boats", "--json").json
    assert found["verdict"] == max(found["probabilities"], key=found["probabilities"].get)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("answer", "1.png", " "), 2, "the question is empty"),
        (("ground", "1.png", ""), 2, "the phrase is empty"),
        (("ground", "1.png", "moon", "--best", "0"), 2, "--best"),
        (("compare", "1.png", "nowhere.png", "moon"), 3, "nowhere.png: no such file"),
        (("entail", "nowhere.png", "moon"), 3, "nowhere.png: no such file"),
    ],
)
def test_what_cannot_be_asked_is_explained(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    result = run(*words)
    assert (result.code, result.out) == (code, "")
    assert message in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("answer", "1.png", "moon?"),
        ("ground", "1.png", "moon"),
        ("compare", "1.png", "2.png", "moon"),
        ("entail", "1.png", "moon"),
    ],
)
def test_a_model_that_was_not_trained_for_it_is_one_line(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, model="plain")
    assert (result.code, result.out) == (4, "")
    assert result.err.startswith("error: this model was not trained to ")
    assert f"fine-tune it with the task '{words[0]}'" in result.err


def test_a_clip_is_asked_and_described_like_a_picture(run: Run) -> None:
    write_clip(Path("film.mp4"), pictures=[picture(seed, width=64, height=48) for seed in range(6)])
    assert run("answer", "film.mp4", "moon?", "--frames", "3").out.strip()
    assert run("caption", "film.mp4").out.startswith("film.mp4\t")
    assert len(run("entail", "film.mp4", "moon").out.splitlines()) == 3
    result = run("compare", "1.png", "film.mp4", "moon")
    assert result.code == 3
    assert "film.mp4: a clip; this is asked of still pictures" in result.err
