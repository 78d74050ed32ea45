"""A folder that appears whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mplug.errors import DataError


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
