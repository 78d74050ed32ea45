"""Data sets on disk: a folder that appears whole or not at all, and what was written to it."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplug.errors import DataError


@dataclass(frozen=True)
class Summary:
    """What was written: the number of records in each file, by the file's name."""

    folder: Path
    records: Mapping[str, int]
    left_out: Mapping[str, int]  # reason -> how many were left out for it


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> int:
    """Write records, an object a line; gives their number."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a folder to fill, which takes the name `folder` once it is complete.

    Raises:
        DataError: `folder` holds files already, is a file, or cannot be written.
    """
    if folder.is_file():
        raise DataError(f"{folder}: is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty, and nothing there is overwritten: name a new one")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.is_dir():
            folder.rmdir()
        unfinished.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
