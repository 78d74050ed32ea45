import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mplug.data.records import read_records
from mplug.errors import DataError
from mplug.interfaces.commands_data import data
from tests.data.convert.files import pictures, save
from tests.data.test_overlap import drawn


def run(*words: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(data, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Six training pictures, the third of which is a picture of the test at half the size."""
    lines = []
    for number in range(6):
        image: Image.Image = drawn(number)
        if number == 2:
            image = drawn(50).resize((80, 60))
        image.save(tmp_path / f"{number}.jpg")
        lines.append(json.dumps({"image": f"{number}.jpg", "caption": "a shape"}))
    drawn(50).save(tmp_path / "test.png")
    train = save(tmp_path / "train.jsonl", "\n".join(lines))
    return train, save(tmp_path / "test.jsonl", json.dumps({"image": "test.png", "caption": "b"}))


def test_a_shared_picture_is_counted_and_is_exit_code_3(files: tuple[Path, Path]) -> None:
    code, out, _ = run("overlap", *files)
    assert code == 3
    assert "2.jpg = " in out
    assert "they look the same" in out
    assert "shared:        1 (0 by id, 0 by file, 1 by look), in 1 records" in out


def test_records_without_what_is_shared_are_written(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    code, out, _ = run("overlap", *files, "--out", tmp_path / "clean.jsonl", "--json")
    told = json.loads(out)
    assert (code, told["written"], told["shared_records"], told["by"]["look"]) == (0, 5, 1, 1)
    assert [pair["by"] for pair in told["pairs"]] == [["look"]]
    left = read_records(tmp_path / "clean.jsonl").require()
    assert "2.jpg" not in {Path(str(record.image)).name for record in left}
    assert run("overlap", tmp_path / "clean.jsonl", files[1])[0] == 0


def test_nothing_is_decoded_where_that_is_not_wanted(files: tuple[Path, Path]) -> None:
    assert run("overlap", *files, "--no-look")[0] == 0


def test_records_are_written_as_json_lines_only(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clean\.csv: records are written as \.jsonl"):
        run("overlap", *files, "--out", tmp_path / "clean.csv")


def test_a_conversion_can_leave_the_pictures_of_tests_out(tmp_path: Path) -> None:
    names = [f"COCO_train2014_{number:012d}.jpg" for number in (1, 2)]
    images = [
        {"filepath": "train2014", "filename": name, "cocoid": number, "split": "train"}
        | {"sentences": [{"raw": "a cat"}]}
        for number, name in enumerate(names, 1)
    ]
    split = save(tmp_path / "dataset_coco.json", {"images": images})
    coco = pictures(tmp_path / "coco", [f"train2014/{name}" for name in names])
    ids = save(tmp_path / "refcoco.txt", "coco:1\n")
    words = ("convert", "coco-karpathy", tmp_path / "out", f"split={split}", "--images", coco)
    code, out, told = run(*words, "--without", ids)
    assert code == 0
    assert "left out: 1, train: its picture is held out" in out
    assert "note:" not in told
    (record,) = read_records(tmp_path / "out" / "train.jsonl").require()
    assert record.image_id == "coco:2"
    _, _, told = run("convert", "coco-karpathy", tmp_path / "all", *words[3:])
    assert "note: coco-karpathy shares pictures with RefCOCO" in told
