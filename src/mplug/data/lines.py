"""Lines of a text file that may be hostile: long lines and bad bytes are reported, never fatal."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mplug.errors import DataError

MAX_LINE_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Line:
    """One line without its end; where `problem` is set, `text` is not what the file says."""

    number: int  # from 1
    text: str
    problem: str | None = None


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a UTF-8 file, with or without a byte order mark, ended by LF or CR LF.

    Raises:
        DataError: the file cannot be opened, or it is UTF-16.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                if raw.startswith(UTF_16_MARKS):
                    raise DataError(f"{path}: the file is UTF-16; save it as UTF-8")
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            yield _line(number, raw, file)


def _line(number: int, raw: bytes, file: BinaryIO) -> Line:
    if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
        rest = file.readline(MAX_LINE_BYTES)
        while rest and not rest.endswith(b"\n"):  # a part at a time: an endless line fits in memory
            rest = file.readline(MAX_LINE_BYTES)
        return Line(number, "", f"the line is longer than {MAX_LINE_BYTES:,} bytes")
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: byte {raw[error.start]:#04x} at place {error.start + 1} of the line"
        return Line(number, raw.decode("utf-8", "replace"), problem)
