import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mplug.data.convert import CONVERTERS
from mplug.errors import DataError
from mplug.interfaces.commands_data import data
from tests.data.convert.files import pictures, save


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(
        data, ["convert", *(str(word) for word in words)], catch_exceptions=False
    )
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def words(tmp_path: Path) -> list[str | Path]:
    """What converts a token file of two pictures, one of them missing."""
    tokens = save(tmp_path / "results.token", "1.jpg#0\tA dog .\n2.jpg#0\tA cat .\nbroken\n")
    images = pictures(tmp_path / "images", ["1.jpg"])
    return ["flickr30k", tmp_path / "out", f"tokens={tokens}", "--images", images]


def test_counts_differences_and_what_is_missing_are_printed(
    tmp_path: Path, words: list[str | Path]
) -> None:
    out = run(*words, "--max-bad-share", "0.5")
    assert f"{tmp_path / 'out' / 'all'}.jsonl: 1 records" in out
    assert "in the files: 2 rows, 2 images, 2 captions" in out
    assert "not the published count: all: 2 captions, published 158,915 (-158,913)" in out
    assert "missing: 1 pictures, of 1 rows, listed in" in out
    assert "results.token, line 3: has no tab" in out


def test_json_holds_the_whole_report(words: list[str | Path]) -> None:
    told = json.loads(run(*words, "--max-bad-share", "0.5", "--json"))
    assert (told["written"], told["missing_rows"], told["trouble_rows"]) == ({"all": 1}, 1, 1)
    assert told["troubles"][0]["place"] == "line 3"


def test_more_broken_rows_than_allowed_are_an_error(words: list[str | Path]) -> None:
    with pytest.raises(DataError, match=r"1 of 3 rows of flickr30k cannot be used \(33.33%"):
        run(*words)


def test_without_a_folder_it_says_what_a_data_set_takes() -> None:
    listed = run()
    assert all(name in listed for name in CONVERTERS)
    out = run("vqav2")
    assert "train_questions=  v2_OpenEnded_mscoco_train2014_questions.json" in out
    assert json.loads(run("easy-vqa", "--json"))["easy-vqa"]["inputs"][0]["required"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["flikr30k"], "did you mean flickr30k"),
        (["coco", "out", "captions.json"], "inputs are given as NAME=PATH"),
        (["coco", "out"], "needs at least one input"),
    ],
)
def test_words_that_mean_nothing_are_explained(given: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(*given)
