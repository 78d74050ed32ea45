import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mplug.data.convert import CONVERTERS
from mplug.data.convert.common import Conversion, Row, Trouble, in_drawn_order
from mplug.data.convert.write import Report, write_conversion
from mplug.data.records import read_records
from mplug.errors import DataError
from tests.data.convert.files import pictures


def row(number: int, **record: Any) -> Row:
    fields = {"image": f"{number}.jpg", "image_id": f"x:{number}", "caption": ["A cat."], **record}
    return Row("train", str(number), fields, "file.json", f"rows[{number}]")


def write(tmp_path: Path, *rows: Row | Trouble, **options: Any) -> Report:
    images = pictures(tmp_path / "images", ["1.jpg", "2.jpg"])
    options = {"folder": tmp_path / "out", "max_bad_share": 1.0, **options}
    return write_conversion("some-set", Conversion(rows), images=images, **options)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_paths_lead_from_the_records_to_the_pictures_when_both_are_moved(tmp_path: Path) -> None:
    write(tmp_path / "here", row(1))
    (tmp_path / "here").rename(tmp_path / "there")
    [record] = read_records(tmp_path / "there" / "out" / "train.jsonl").require()
    assert record.images == (str(tmp_path / "there" / "images" / "1.jpg"),)


def test_missing_pictures_are_listed_with_their_ids_and_counted(tmp_path: Path) -> None:
    rows = [row(1), row(8), Row("train", "9", {"image": "8.jpg"}, "f", "p")]
    report = write(tmp_path, *rows, row(2, image=["2.jpg", "7.jpg"]))
    assert (report.missing_rows, report.missing_pictures) == (3, 2)
    assert report.written == {"train": 1}
    assert report.found["train"] == {"rows": 4, "images": 3, "captions": 3}
    assert lines(tmp_path / "out" / "missing.jsonl") == [
        {"split": "train", "id": "8", "image": "8.jpg"},
        {"split": "train", "id": "9", "image": "8.jpg"},
        {"split": "train", "id": "2", "image": ["2.jpg", "7.jpg"]},
    ]


def test_values_that_records_cannot_hold_are_named(tmp_path: Path) -> None:
    report = write(tmp_path, row(1), row(2, caption=["A cat.", " "]), row(3, image="../1.jpg"))
    assert [str(trouble) for trouble in report.troubles] == [
        "file.json, rows[2], caption: [1] is empty",
        "file.json, rows[3], image: leads out of the images folder: '../1.jpg'",
    ]


@pytest.mark.parametrize("split", ["../up", "missing", ".hidden", ""])
def test_a_split_from_a_file_cannot_name_any_other_file(tmp_path: Path, split: str) -> None:
    report = write(tmp_path, row(1), Row(split, "2", {"image": "2.jpg"}, "f", "p"))
    assert [trouble.field for trouble in report.troubles] == ["split"]


def test_too_many_broken_rows_leave_nothing_behind(tmp_path: Path) -> None:
    broken = Trouble("file.json", "rows[5]", "caption", "is empty")
    with pytest.raises(DataError, match=r"(?s)1 of 3 rows .*rows\[5\], caption.*max-bad-share"):
        write(tmp_path, row(1), row(2), broken, max_bad_share=0.3)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    assert write(tmp_path, row(1), row(2), broken, max_bad_share=0.4).trouble_rows == 1


def test_a_folder_without_any_of_the_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 2 pictures is in .*such as 8.jpg"):
        write(tmp_path, row(8), row(9))


def test_files_without_any_row_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="some-set: its files hold no row"):
        write(tmp_path)


def test_boxes_are_looked_at_in_the_picture_as_turned_by_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "3.jpg", exif=exif)
    found = write(tmp_path, row(3, boxes=[[40.0, 40, 60, 70], [50, 0, 60, 9]]))
    assert found.dropped_boxes == 1
    assert lines(tmp_path / "out" / "train.jsonl")[0]["boxes"] == [[40, 40, 48, 64]]


def test_a_folder_that_holds_something_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, row(1))
    with pytest.raises(DataError, match="not empty"):
        write(tmp_path, row(1))


def test_a_drawn_order_depends_on_the_ids_and_the_seed_alone() -> None:
    assert in_drawn_order("abcdef", seed=1) == in_drawn_order("fedcba", seed=1)
    assert in_drawn_order("abcdef", seed=1) != in_drawn_order("abcdef", seed=2)


@pytest.mark.parametrize("name", CONVERTERS)
def test_inputs_that_are_unknown_lacking_or_not_there_are_named(name: str, tmp_path: Path) -> None:
    converter = CONVERTERS[name]
    first = converter.inputs[0].name
    with pytest.raises(DataError, match=f"needs .*it takes {first}="):
        converter.require(name, {})
    with pytest.raises(DataError, match=r"takes no input 'nonsense'"):
        converter.require(name, {"nonsense": tmp_path})
    with pytest.raises(DataError, match="no such file"):
        converter.require(name, {first: tmp_path / "nowhere"})
