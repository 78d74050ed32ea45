import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mplug.data.fields import Answer
from mplug.data.records import Problem, RecordSet, Source, read_records
from mplug.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b c.png", "ü.png"):
        Image.new("RGB", (2, 3)).save(tmp_path / name)
    return tmp_path


def write_json(folder: Path, *rows: dict[str, Any] | str | bytes) -> Path:
    file = folder / "data.jsonl"
    encoded = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    lines = [line.encode() if isinstance(line, str) else line for line in encoded]
    file.write_bytes(b"\n".join(lines))
    return file


def write_csv(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    file = folder / "data.csv"
    file.write_text("\n".join(lines) + "\n", encoding=encoding)
    return file


def said(found: RecordSet) -> list[tuple[int | None, str | None, str]]:
    return [(problem.line, problem.field, problem.reason) for problem in found.problems]


GOOD = {"image": "a.png", "caption": "a cat"}


def test_paths_are_relative_to_the_records_file(folder: Path) -> None:
    (folder / "sets").mkdir()
    file = write_json(folder / "sets", {"image": "../b c.png", "caption": ["one", "two"]})
    (record,) = read_records(file).require()
    assert record.image == str(folder / "b c.png")
    assert record.images == (record.image,)
    assert record.caption == ("one", "two")
    assert record.source == Source(str(file), 1)


def test_csv_and_json_lines_say_the_same(folder: Path) -> None:
    row = {
        "image": "a.png",
        "image_id": "7",
        "caption": ["a cat", 'a "red" cat, asleep'],
        "answers": [{"text": "two", "weight": 0.5}],
        "boxes": [[0, 0, 1, 2]],
    }
    cells = [value if isinstance(value, str) else json.dumps(value) for value in row.values()]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    (written,) = read_records(write_csv(folder, ",".join(row), quoted)).require()
    (expected,) = read_records(write_json(folder, row)).require()
    assert (written.image, written.image_id) == (expected.image, expected.image_id)
    assert written.caption == expected.caption
    assert written.answers == expected.answers == (Answer("two", 0.5),)
    assert written.boxes == expected.boxes


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_comes_with_any_usual_separator_and_with_a_byte_order_mark(
    folder: Path, delimiter: str, encoding: str
) -> None:
    lines = [delimiter.join(line) for line in (("image", "caption"), ("ü.png", "a cat"))]
    (record,) = read_records(write_csv(folder, *lines, encoding=encoding)).require()
    assert record.caption == ("a cat",)
    assert record.source.line == 2


def test_a_csv_cell_may_hold_several_lines_and_the_next_row_is_still_numbered_right(
    folder: Path,
) -> None:
    file = write_csv(folder, "image,caption", 'a.png,"a\nb"', "nowhere.png,c")
    found = read_records(file)
    assert found.records[0].caption == ("a\nb",)
    assert found.problems[0].line == 4


def test_null_and_empty_cells_are_fields_left_out(folder: Path) -> None:
    (record,) = read_records(write_json(folder, {**GOOD, "question": None})).require()
    assert record.question is None
    (record,) = read_records(write_csv(folder, "image,caption,question", "a.png,x,")).require()
    assert record.question is None


def test_the_column_with_a_typo_is_named(folder: Path) -> None:
    found = read_records(write_csv(folder, "image,captoin", "a.png,a cat"))
    assert said(found) == [(1, "captoin", "unknown field 'captoin'; did you mean 'caption'?")]
    assert found.bad_share == 1


def test_the_row_with_a_typo_is_named(folder: Path) -> None:
    rows = ["a.png,a cat"] * 20
    rows[5] = "a.pgn,a cat"
    found = read_records(write_csv(folder, "image,caption", *rows))
    assert said(found) == [(7, "image", f"no such file: {folder / 'a.pgn'}")]
    with pytest.raises(
        DataError, match=r"1 of 20 rows cannot be used(?s:.*)line 7, image: no such"
    ):
        found.require(max_bad_share=0.01)


@pytest.mark.parametrize(
    ("row", "line", "field", "reason"),
    [
        ("{", 2, None, "not JSON"),
        ("[1, 2]", 2, None, "not a JSON object"),
        ('{"image": "a.png", "image": "b"}', 2, None, "a field is given twice"),
        ("[" * 100_000, 2, None, "nested too deeply"),
        ('{"x":' * 100_000, 2, None, "nested too deeply"),
        (b'{"image": "\xff"}', 2, None, "not UTF-8"),
        ('{"image": "a.png", "caption": "\\ud800"}', 2, "caption", "lone surrogate"),
        ('{"image": "a.png", "boxes": [[0, 0, NaN, 1]]}', 2, "boxes", "finite"),
        ('{"image": "a.png", "boxes": [[0, 0, 1e999, 1]]}', 2, "boxes", "finite"),
        ('{"image": "a.png", "boxes": [[0, 0, ' + "9" * 5000 + ", 1]]}", 2, None, "not JSON"),
        ('{"caption": "a cat"}', 2, "image", "is missing"),
        ('{"image": "a.png", "video": "a.png"}', 2, "video", "not both"),
        ('{"image": "a.png", "caption": ""}', 2, "caption", "is empty"),
        ('{"image": "' + "x" * 5000 + '"}', 2, "image", "no such file"),
        (b"x" * 3_000_000, 2, None, "longer than 1,048,576 bytes"),
    ],
)
def test_bad_rows_are_located_and_the_good_ones_kept(
    folder: Path, row: str | bytes, line: int, field: str | None, reason: str
) -> None:
    found = read_records(write_json(folder, GOOD, row, GOOD))
    assert [record.source.line for record in found.records] == [1, 3]
    (problem,) = found.problems
    assert (problem.line, problem.field) == (line, field)
    assert reason in problem.reason


def test_every_problem_of_a_row_is_reported(folder: Path) -> None:
    found = read_records(write_json(folder, {"image": "a.png", "captoin": "x", "boxes": 3}))
    assert [problem.field for problem in found.problems] == ["captoin", "boxes"]
    assert found.bad_rows == 1


def test_a_missing_file_is_reported_wherever_it_is_named(folder: Path) -> None:
    missing = {"image": "z.png", "caption": "x"}
    found = read_records(write_json(folder, missing, GOOD, missing))
    assert [problem.line for problem in found.problems] == [1, 3]


def test_blank_lines_are_nothing(folder: Path) -> None:
    assert len(read_records(write_json(folder, GOOD, "", "  ", GOOD, "")).require()) == 2


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (["a.png,a cat,more"], 2, "has 3 cells, and the header names 2 columns"),
        (["a.png,[1"], 2, "must be a JSON list"),
        (['a.png,"x"y', "a.png,z"], 2, "not CSV, in the row that begins at line 2"),
    ],
)
def test_bad_csv_rows_are_located(folder: Path, lines: list[str], line: int, reason: str) -> None:
    found = read_records(write_csv(folder, "image,caption", *lines))
    assert found.problems[0].line == line
    assert reason in found.problems[0].reason


def test_every_line_that_an_open_quote_takes_is_counted_as_lost(folder: Path) -> None:
    rows = ["a.png,one", 'a.png,"two', "a.png,three", "a.png,four"]
    found = read_records(write_csv(folder, "image,caption", *rows))
    assert [problem.line for problem in found.problems] == [3, 4, 5]
    assert found.bad_share == 0.75


@pytest.mark.parametrize("header", ["", '"image', "image,image", "image,,caption"])
def test_a_csv_without_a_usable_header_is_refused(folder: Path, header: str) -> None:
    found = read_records(write_csv(folder, header, "a.png,b"))
    assert not found.records
    assert found.problems[0].line == 1


def test_a_folder_of_pictures_reads_the_text_beside_each(folder: Path) -> None:
    (folder / "a.txt").write_text("a cat\n\n a black cat \n")
    (folder / "deep").mkdir()
    Image.new("L", (2, 2)).save(folder / "deep" / "x.JPG")
    (folder / "deep" / "x.TXT").write_text("ein Hund", encoding="utf-8-sig")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "ü.txt").write_text("  \n")
    (folder / "alone.txt").write_text("no picture")
    found = read_records(folder)
    assert {record.images[0]: record.caption for record in found.records} == {
        str(folder / "a.png"): ("a cat", "a black cat"),
        str(folder / "deep" / "x.JPG"): ("ein Hund",),
    }
    assert {(Path(p.file).name, p.field, p.reason) for p in found.problems} == {
        ("b c.png", "caption", "no b c.txt beside the picture"),
        ("ü.txt", "caption", "is an empty list"),
        ("alone.txt", "image", "no picture of the same name beside this text"),
    }


@pytest.mark.parametrize("name", ["none.jsonl", "data.json", "data.parquet"])
def test_other_files_are_refused_with_the_kinds_that_work(tmp_path: Path, name: str) -> None:
    if name != "none.jsonl":
        (tmp_path / name).write_text("[]")
    with pytest.raises(DataError, match=r"no such file|records are a \.jsonl file"):
        read_records(tmp_path / name)


def test_a_few_bad_rows_are_logged_and_many_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_records(write_json(folder, *[GOOD] * 98, "{", "{"))
    with caplog.at_level(logging.WARNING):
        assert len(found.require(max_bad_share=0.02)) == 98
    assert "2 of 100 rows cannot be used" in caplog.text
    with pytest.raises(DataError, match="2 of 100 rows"):
        found.require(max_bad_share=0.019)


def test_only_the_first_ten_problems_are_listed() -> None:
    problems = tuple(Problem("d.jsonl", line, None, "bad") for line in range(1, 31))
    with pytest.raises(DataError, match=r"line 10: bad\n  \.\.\. and 20 more"):
        RecordSet((), problems).require(max_bad_share=1.0)


def test_no_rows_at_all_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no records"):
        read_records(write_json(folder)).require()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["jsonl", "csv"]))
def test_any_bytes_give_records_problems_or_one_error(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    file = tmp_path / f"any.{suffix}"
    file.write_bytes(content)
    with suppress(DataError):
        read_records(file)
