"""Replacing several files of a folder as nearly at once as a file system can."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from mplug.errors import CheckpointError, DataError


@contextmanager
def replacing(folder: Path, *, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write files of these names into; on leaving, they take their places in `folder`.

    They are flushed to disk first, and moved in the order of `names`. If anything fails, all old
    files are back in their places and nothing else is left.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    unfinished, before = folder / f".saving-{os.getpid()}", folder / f".before-{os.getpid()}"
    created: list[Path] = []
    undo: list[Callable[[], object]] = []
    try:
        for path in (*reversed(folder.parents), folder, unfinished, before):
            if not path.is_dir():
                path.mkdir()
                created.append(path)
        yield unfinished
        for name in names:
            _flush(unfinished / name)
        for name in names:
            _swap(folder / name, new=unfinished / name, old=before / name, undo=undo)
        _flush(folder)
    except BaseException as error:
        for step in reversed(undo):
            step()
        _remove_all(unfinished, before)
        for path in reversed(created):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if isinstance(error, (OSError, SafetensorError, DataError)):
            raise CheckpointError(f"{folder}: the model cannot be saved: {error}") from error
        raise
    _remove_all(*folder.glob(".saving-*"), *folder.glob(".before-*"))  # of killed saves, too


def _swap(path: Path, *, new: Path, old: Path, undo: list[Callable[[], object]]) -> None:
    """Put `new` in the place of `path`, which is kept as `old`."""
    if path.exists():
        undo.append(lambda: os.replace(old, path) if old.exists() else None)
        os.replace(path, old)
    else:
        undo.append(lambda: path.unlink(missing_ok=True))
    os.replace(new, path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_all(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
