from pathlib import Path

import pytest

from mplug.data.lines import MAX_LINE_BYTES, read_lines
from mplug.errors import DataError


def lines(tmp_path: Path, content: bytes) -> list[tuple[int, str, str | None]]:
    file = tmp_path / "file"
    file.write_bytes(content)
    return [(line.number, line.text, line.problem) for line in read_lines(file)]


@pytest.mark.parametrize("content", [b"a\nb\n", b"a\r\nb", b"\xef\xbb\xbfa\nb\r\n"])
def test_ends_of_lines_and_byte_order_marks_are_no_text(tmp_path: Path, content: bytes) -> None:
    assert lines(tmp_path, content) == [(1, "a", None), (2, "b", None)]


def test_exotic_separators_do_not_end_a_line(tmp_path: Path) -> None:
    assert lines(tmp_path, "a\u2028b\x85c\n".encode()) == [(1, "a\u2028b\x85c", None)]


def test_bad_bytes_are_located_and_the_next_line_is_read(tmp_path: Path) -> None:
    found = lines(tmp_path, b"one\ntw\xffo\nthree\n")
    assert found[1][2] == "not UTF-8: byte 0xff at place 3 of the line"
    assert found[2] == (3, "three", None)


@pytest.mark.parametrize("excess", [0, 1, MAX_LINE_BYTES, 2 * MAX_LINE_BYTES + 7])
def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, excess: int) -> None:
    found = lines(tmp_path, b"x" * (MAX_LINE_BYTES + excess) + b"\nnext\n")
    assert (found[0][2] is None) == (excess == 0)
    assert found[1:] == [(2, "next", None)]


def test_utf_16_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is UTF-16; save it as UTF-8"):
        lines(tmp_path, "a".encode("utf-16"))


def test_a_folder_is_not_read_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path))
