import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mplug.errors import ConfigError, DataError
from mplug.interfaces.commands_data import data
from mplug.interfaces.commands_metrics import metrics
from tests.data.scenes.packages import write_all


def write_records(folder: Path, *, count: int = 3, bad: bool = False) -> Path:
    records = folder / "captions.jsonl"
    lines = []
    for number in range(count):
        Image.new("RGB", (30 + number, 20), (number * 60, 0, 0)).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": f"a red thing {number}"}))
    if bad:
        (folder / "broken.png").write_bytes(b"<html>no picture</html>")
        lines.append(json.dumps({"image": "broken.png", "caption": "a page"}))
        lines.append(json.dumps({"image": "0.png", "captoin": "a typo"}))
    records.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return records


def run(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(data, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_good_records_are_counted(tmp_path: Path) -> None:
    code, out = run("check", write_records(tmp_path))
    assert code == 0
    assert "3 rows, 3 good, 0 bad" in out
    assert "width 30 to 32 (median 31), height 20" in out


def test_bad_rows_are_named_and_are_exit_code_3(tmp_path: Path) -> None:
    records = write_records(tmp_path, bad=True)
    code, out = run("check", records)
    assert code == 3
    assert f"bad: {records}, line 5, captoin: unknown field 'captoin'; did you mean" in out
    assert f"bad: {records}, line 4, image: {tmp_path / 'broken.png'}: an HTML page" in out


def test_check_as_json_is_one_value(tmp_path: Path) -> None:
    code, out = run("check", write_records(tmp_path, bad=True), "--json")
    told = json.loads(out)
    assert (code, told["rows"], told["bad_rows"]) == (3, 5, 2)
    assert sorted(problem["line"] for problem in told["problems"]) == [4, 5]


def test_a_preview_page_is_written_where_asked(tmp_path: Path) -> None:
    page = tmp_path / "preview.html"
    assert run("check", write_records(tmp_path), "--preview", page)[0] == 0
    assert "a red thing 2" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_vocabulary_is_trained_and_can_be_checked_against(
    tmp_path: Path, options: list[str]
) -> None:
    records, folder = write_records(tmp_path), tmp_path / "words"
    code, out = run("tokenizer", records, folder, "--vocab-size", "500", *options)
    assert code == 0
    assert "captions" in out
    assert (folder / "tokenizer.json").exists()
    assert "0.00% of words are [UNK]" in run("check", records, "--tokenizer", folder)[1]


def test_a_sample_has_every_split_and_its_own_readme(tmp_path: Path) -> None:
    counts = ("--train", "6", "--validation", "2", "--test", "3", "--image-size", "32")
    code, out = run("sample", tmp_path / "scenes", "max_objects=3", *counts, "--json")
    told = json.loads(out)
    assert (code, told["records"]["train.jsonl"]) == (0, 6)
    assert told["records"]["test_unseen_artist.jsonl"] == 3
    assert run("check", tmp_path / "scenes" / "train.jsonl")[0] == 0
    assert (tmp_path / "scenes" / "README.md").exists()


def test_a_wrong_field_of_a_sample_is_answered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean data\.scenes\.concepts\?"):
        run("sample", tmp_path / "scenes", "concept=20")


def test_a_file_that_is_no_package_of_stamps_is_refused(tmp_path: Path) -> None:
    deb = tmp_path / "no.deb"
    deb.write_bytes(b"not a package")
    with pytest.raises(DataError, match=r"no\.deb"):
        run("stamps", tmp_path / "stamps", "--deb", deb)
    assert not (tmp_path / "stamps").exists()


def test_an_archive_that_is_not_openmoji_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "no.tgz"
    archive.write_bytes(b"not a package")
    with pytest.raises(DataError, match=r"no\.tgz"):
        run("sample", tmp_path / "scenes", "--openmoji", archive)


def test_a_package_that_is_no_icon_set_is_refused(tmp_path: Path) -> None:
    write_all(tmp_path / "npm")
    next((tmp_path / "npm").glob("*emojione*")).write_bytes(b"not a package")
    with pytest.raises(DataError, match="emojione"):
        run("emoji", tmp_path / "emoji", "--archives", tmp_path / "npm")
    assert not (tmp_path / "emoji").exists()


def test_emoji_are_drawn_and_searched_by_pixels(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    folder = tmp_path / "emoji"
    write_all(tmp_path / "npm")
    size = ("--image-size", "16")
    code, out = run("emoji", folder, "--archives", tmp_path / "npm", *size, "--json")
    assert (code, json.loads(out)["records"]["test.jsonl"]) == (0, 2)
    assert run("check", folder / "train.jsonl")[0] == 0
    words = ["pixels", str(folder / "train.jsonl"), str(folder / "test.jsonl")]
    told = json.loads(CliRunner().invoke(metrics, [*words, "--json"]).stdout)
    assert (told["images"], told["texts"], told["known_pictures"]) == (2, 2, 10)
    assert told["recalls"]["recall_at_5_text_to_image"] == 1
    assert "recall_at_1_image_to_text" in CliRunner().invoke(metrics, words).stdout
