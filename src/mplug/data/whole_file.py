"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mplug.errors import DataError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 text file to write, which takes the name `path` once it is complete.

    Raises:
        DataError: the folder is not there or cannot be written.
    """
    with (
        whole_path(path) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        yield file


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path`, in place of any other file, at the end.

    Raises:
        DataError: the folder is not there or cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
