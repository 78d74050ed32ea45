"""Records: what a data set says about its pictures, one record a line, every fault located.

Three ways to write them, with the same fields (`FIELDS`):

- JSON lines (`.jsonl`): an object a line.
- CSV (`.csv`; comma, semicolon or tab): a column a field; an empty cell is a field left out; a
  cell that begins with `[` is a JSON list, which `answers`, `boxes` and `objects` always are.
- A folder: every picture with a text file of the same name beside it, a caption a line.

Paths of pictures are relative to the records' own folder.
"""

import csv
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mplug.data.fields import FIELDS, Answer, Box, NamedBox, Refused, unknown_field
from mplug.data.lines import Line, read_lines
from mplug.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
)
LISTED = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a record was written."""

    file: str
    line: int  # from 1

    def __str__(self) -> str:
        """For messages."""
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class Record:
    """One line of a data set; fields that a task does not need are left out."""

    source: Source
    image: str | tuple[str, ...] | None = None
    video: str | None = None
    image_id: str | None = None
    id: str | None = None
    caption: tuple[str, ...] = ()
    question: str | None = None
    answers: tuple[Answer, ...] = ()
    phrase: str | None = None
    boxes: tuple[Box, ...] = ()
    statement: str | None = None
    label: str | None = None
    objects: tuple[NamedBox, ...] = ()
    text: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The paths of the pictures: none, one or several."""
        if self.image is None:
            return ()
        return (self.image,) if isinstance(self.image, str) else self.image


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be used."""

    file: str
    line: int | None
    field: str | None
    reason: str

    def __str__(self) -> str:
        """File, line, field and reason, as far as they are known."""
        line = "" if self.line is None else f", line {self.line}"
        field = "" if self.field is None else f", {self.field}"
        return f"{self.file}{line}{field}: {self.reason}"


@dataclass(frozen=True)
class RecordSet:
    """The records that can be used, and all problems of those that cannot."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]

    @property
    def bad_rows(self) -> int:
        """How many rows cannot be used."""
        return len({(problem.file, problem.line) for problem in self.problems})

    @property
    def bad_share(self) -> float:
        """The share of rows that cannot be used; 1 when there are no rows at all."""
        rows = len(self.records) + self.bad_rows
        return self.bad_rows / rows if rows else 1.0

    def require(self, *, max_bad_share: float = 0.0) -> tuple[Record, ...]:
        """The records, if there are any and few enough rows are bad; those are logged.

        Raises:
            DataError: too many bad rows, or no records; lists the first problems.
        """
        if not self.records and not self.problems:
            raise DataError("the data set has no records")
        shown = [f"  {problem}" for problem in self.problems[:LISTED]]
        if len(self.problems) > LISTED:
            shown.append(f"  ... and {len(self.problems) - LISTED} more")
        message = "\n".join(
            [
                f"{self.bad_rows} of {self.bad_rows + len(self.records)} rows cannot be used "
                f"({self.bad_share:.2%}; {max_bad_share:.2%} may be bad):",
                *shown,
            ]
        )
        if self.bad_share > max_bad_share or not self.records:
            raise DataError(
                f"{message}\ncorrect them (`mplug data check` lists all), or raise the share of "
                "rows that may be bad"
            )
        if self.problems:
            logger.warning("%s", message)
        return self.records


def read_records(path: str | Path) -> RecordSet:
    """Read a .jsonl or .csv file, or a folder of pictures with text files.

    Raises:
        DataError: there is no such file, or its kind is not known.
    """
    path = Path(path)
    reading = _Reading()
    if path.is_dir():
        _read_folder(path, reading)
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder")
    elif path.suffix.lower() in (".jsonl", ".ndjson"):
        _read_json_lines(path, reading)
    elif path.suffix.lower() in (".csv", ".tsv"):
        _read_csv(path, reading)
    else:
        raise DataError(
            f"{path}: records are a .jsonl file (a JSON object a line), a .csv file, or a folder "
            "of pictures with text files"
        )
    return RecordSet(tuple(reading.records), tuple(reading.problems))


@dataclass
class _Reading:
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    found: dict[str, bool] = field(default_factory=dict)  # files are looked up once

    def refuse(self, source: Source, reason: str, *, field: str | None = None) -> None:
        self.problems.append(Problem(source.file, source.line, field, reason))

    def add(self, source: Source, values: dict[str, Any], *, folder: Path) -> None:
        """A row's values become a record, or every one of its problems is noted; null is absent."""
        before = len(self.problems)
        values = {key: value for key, value in values.items() if value is not None}
        parsed: dict[str, Any] = {}
        for key, value in values.items():
            if key not in FIELDS:
                self.refuse(source, unknown_field(key, tuple(FIELDS)), field=key[:50])
                continue
            try:
                parsed[key] = FIELDS[key](value)
            except Refused as refused:
                self.refuse(source, str(refused), field=key)
        if "image" in values and "video" in values:
            self.refuse(source, "a record has an image or a video, not both", field="video")
        if "image" not in values and "video" not in values:
            self.refuse(source, "is missing: every record needs an image or a video", field="image")
        for key in ("image", "video"):
            if key in parsed:
                parsed[key] = self._located(source, key, parsed[key], folder)
        if len(self.problems) == before:
            self.records.append(Record(source, **parsed))

    def _located(
        self, source: Source, key: str, given: str | tuple[str, ...], folder: Path
    ) -> str | tuple[str, ...]:
        if not isinstance(given, str):
            return tuple(str(self._located(source, key, one, folder)) for one in given)
        located = os.path.normpath(os.path.join(folder, given))
        if located not in self.found:
            try:
                self.found[located] = Path(located).is_file()
            except OSError:  # a name longer than the file system allows
                self.found[located] = False
        if not self.found[located]:
            self.refuse(source, f"no such file: {located[:300]}", field=key)
        return located


def _read_json_lines(path: Path, reading: _Reading) -> None:
    name, folder = str(path), path.parent
    decoder = json.JSONDecoder(object_pairs_hook=_object_without_repeats)
    for line in read_lines(path):
        source = Source(name, line.number)
        if line.problem:
            reading.refuse(source, line.problem)
        elif line.text.strip():
            try:
                values = decoder.decode(line.text)
            except RecursionError:
                reading.refuse(source, "not JSON that can be used: it is nested too deeply")
            except ValueError as error:
                reading.refuse(source, f"not JSON: {error}")
            else:
                if isinstance(values, dict):
                    reading.add(source, values, folder=folder)
                else:
                    reading.refuse(source, 'not a JSON object such as {"image": ..., ...}')


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a field is given twice")
    return values


def _read_csv(path: Path, reading: _Reading) -> None:
    lines = _CsvLines(read_lines(path))
    header = next(lines, "")
    delimiter = max(",;\t", key=header.count)
    columns = _columns(Source(str(path), 1), header, delimiter, reading)
    if reading.problems:
        return  # without its columns, no row says what it means
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first, lines.problem = lines.number + 1, None
        source = Source(str(path), first)
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is never closed takes many lines with it, and each of them is lost.
            for number in range(first, max(first, lines.number) + 1):
                reason = f"not CSV, in the row that begins at line {first}: {error}"
                reading.refuse(Source(str(path), number), reason)
            continue
        if lines.problem:
            reading.refuse(source, lines.problem)
        elif any(cell.strip() for cell in cells):
            _add_cells(source, columns, cells, reading, folder=path.parent)


def _columns(source: Source, header: str, delimiter: str, reading: _Reading) -> list[str]:
    try:
        cells = next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        reading.refuse(source, f"not CSV: {error}")
        return []
    columns = [cell.strip() for cell in cells]
    if not columns:
        reading.refuse(source, "the first line must name the columns")
    for column in columns:
        if column not in FIELDS:
            reading.refuse(source, unknown_field(column, tuple(FIELDS)), field=column[:50])
        elif columns.count(column) > 1:
            reading.refuse(source, "two columns have this name", field=column)
    return columns


class _CsvLines:
    """Feeds a CSV reader, and remembers what was wrong with the lines of the current row."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.number = 0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        self.problem = self.problem or line.problem
        return line.text + "\n"


def _add_cells(
    source: Source, columns: list[str], cells: list[str], reading: _Reading, *, folder: Path
) -> None:
    if len(cells) != len(columns):
        reason = f"has {len(cells)} cells, and the header names {len(columns)} columns"
        reading.refuse(source, reason)
        return
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        is_list = column in ("answers", "boxes", "objects") or cell.lstrip().startswith("[")
        try:
            if cell.strip():
                values[column] = json.loads(cell) if is_list else cell
        except (ValueError, RecursionError) as error:
            reason = f"must be a JSON list: {error}"
            reading.refuse(source, reason, field=column)
            return
    reading.add(source, values, folder=folder)


def _read_folder(folder: Path, reading: _Reading) -> None:
    files = sorted(_files(folder))
    texts = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    for image in images:
        beside = texts.get(image.with_suffix(""))
        if beside is None:
            reason = f"no {image.with_suffix('.txt').name} beside the picture"
            reading.problems.append(Problem(str(image), None, "caption", reason))
            continue
        lines = [line for line in read_lines(beside) if line.text.strip() or line.problem]
        bad = next((line for line in lines if line.problem), None)
        if bad is not None:
            reading.refuse(Source(str(beside), bad.number), bad.problem or "")
            continue
        captions: list[str] = [line.text.strip() for line in lines]
        values = {"image": image.name, "caption": captions}
        reading.add(Source(str(beside), 1), values, folder=image.parent)
    for stem in sorted(texts.keys() - {image.with_suffix("") for image in images}):
        reason = "no picture of the same name beside this text"
        reading.problems.append(Problem(str(texts[stem]), None, "image", reason))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, hidden ones left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))
