"""Reading published files: JSON at once or member by member, JSON lines, tab-separated lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mplug.data.convert.common import Trouble
from mplug.data.lines import read_lines
from mplug.errors import DataError

CHUNK = 1 << 20  # characters read at a time
MAX_MEMBER = 1 << 27  # characters; a longer member means that the file is damaged
SPACE = " \t\r\n"
AFTER_VALUE = {*SPACE, *",:]}"}


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read, or is not UTF-8 JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise DataError(f"{path}: not JSON that can be used: it is nested too deeply") from error


def load_object(path: Path, *lists: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON file that is an object with these lists; the optional ones are lists where they are.

    Raises:
        DataError: it cannot be read, or has another form.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with {', '.join(lists)}")
    for name in (*lists, *(name for name in optional if name in content)):
        if not isinstance(content.get(name), list):
            raise DataError(f"{path}: expected a list {name!r}; it has {', '.join(content)[:200]}")
    return content


def placed(name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
    """Each value of a list of a file with its place, such as "images[3]"."""
    for number, value in enumerate(values):
        yield f"{name}[{number}]", value


def json_lines(path: Path) -> Iterator[tuple[str, Any] | Trouble]:
    """Each line of a JSON lines file with its place; blank ones are passed over.

    Raises:
        DataError: the file cannot be opened.
    """
    for place, text in text_lines(path):
        if isinstance(text, Trouble):
            yield text
        elif text.strip():
            try:
                yield place, json.loads(text)
            except (ValueError, RecursionError) as error:
                yield Trouble(str(path), place, None, f"not JSON: {error}")


def text_lines(path: Path) -> Iterator[tuple[str, str | Trouble]]:
    """Each line with its place, or what is wrong with it.

    Raises:
        DataError: the file cannot be opened.
    """
    for line in read_lines(path):
        place = f"line {line.number}"
        yield place, Trouble(str(path), place, None, line.problem) if line.problem else line.text


def members(path: Path) -> Iterator[tuple[str, Any]]:
    """The members of a JSON file that is one list ("[3]", value) or object ("key", value).

    Only one member at a time is in memory.

    Raises:
        DataError: it cannot be read, is neither, or is damaged; says after which member.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Members(path, file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason}") from error


class _Members:
    """A window on a file that moves over its members."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        self._buffer, self._at, self._ended = "", 0, False
        self._decode = json.JSONDecoder().raw_decode
        self._last = "the beginning"

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        opening = self._next_mark("[{")
        closing = "]" if opening == "[" else "}"
        number = 0
        if self._peek() == closing:
            return
        while True:
            if opening == "[":
                key = f"[{number}]"
            else:
                key = str(self._value())
                self._next_mark(":")
            yield key, self._value()
            self._last, number = key, number + 1
            if self._next_mark("," + closing) == closing:
                return

    def _read(self) -> None:
        """More of the file: each time as much as is held, so that long members are not reread."""
        held = self._buffer[self._at :]
        more = self._file.read(max(CHUNK, len(held)))
        self._ended = not more
        self._buffer, self._at = held + more, 0

    def _peek(self) -> str:
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._buffer) or self._ended:
                return self._buffer[self._at : self._at + 1]
            self._read()

    def _next_mark(self, marks: str) -> str:
        mark = self._peek()
        if not mark or mark not in marks:
            found = repr(mark) if mark else "the end of the file"
            raise self._damaged(f"expected one of {' '.join(marks)}, found {found}")
        self._at += 1
        return mark

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or len(self._buffer) - self._at > MAX_MEMBER:
                    raise self._damaged(error.msg) from error
            except RecursionError as error:
                raise self._damaged("nested too deeply") from error
            else:
                # A number may go on beyond what has been read: "-1" of "-1.5".
                if self._ended or self._buffer[end : end + 1] in AFTER_VALUE:
                    self._at = end
                    return value
            self._read()

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self._path}: not JSON, after {self._last}: {reason}")
