"""Captions on disk as JSON lines: a records file that another run can continue, or train on."""

import json
import os
from pathlib import Path
from typing import Any, Self

from mplug.errors import DataError

LINE_START = b'{"image": '  # of every line written here


class CaptionFile:
    """Appends whole lines, each flushed, so that whatever stops the program leaves a valid file."""

    def __init__(self, path: Path, *, done: set[Path], descriptor: int) -> None:
        self.path = path
        self.done = done  # pictures that have their line
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make a file, or continue one; a last line that was cut short is dropped.

        Raises:
            DataError: the file cannot be written, or holds something other than captions.
        """
        try:
            # In binary, because a line cut in the middle of a letter is no text.
            content = path.read_bytes() if path.exists() else b""
            whole, done = _whole_lines(content, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            os.ftruncate(descriptor, min(len(whole), len(content)))
            os.write(descriptor, whole[len(content) :])
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from error
        return cls(path, done=done, descriptor=descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def __contains__(self, image: Path) -> bool:
        """Whether `image` has its caption."""
        return image.absolute() in self.done

    def add(self, image: Path, caption: str) -> None:
        """Append one record; its path is relative to the file's folder, as records are.

        Raises:
            DataError: the disk is full, or the file cannot be written for another reason.
        """
        image = image.absolute()
        line = {"image": os.path.relpath(image, self.path.parent.absolute()), "caption": caption}
        try:
            os.write(self._descriptor, (json_line(line) + "\n").encode())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written: {error.strerror}") from error
        self.done.add(image)


def json_line(content: Any) -> str:
    """JSON on one line, in plain letters of every language where they can be encoded."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is no valid text
        return json.dumps(content)
    return text


def _whole_lines(content: bytes, path: Path) -> tuple[bytes, set[Path]]:
    """The file without a last line that was cut short, and the pictures of its records."""
    end = content.rfind(b"\n") + 1
    last = content[end:]
    if last and (done := _pictures_of(content, path)) is not None:
        return content + b"\n", done  # the last line lacks its end, and nothing else
    cut = last[: len(LINE_START)] == LINE_START[: len(last)]
    done = _pictures_of(content[:end], path) if cut else None
    if done is None:
        raise DataError(
            f"{path}: holds something other than captions, and is left as it is: give --out "
            "another name"
        )
    return content[:end], done


def _pictures_of(content: bytes, path: Path) -> set[Path] | None:
    """The pictures of the records in `content`; None if it holds anything else."""
    folder = path.parent.absolute()
    try:
        records = [json.loads(line) for line in content.decode().split("\n") if line.strip()]
        names = [(record["image"], record["caption"]) for record in records]
        return {Path(os.path.normpath(folder / image)) for image, _ in names}
    except (ValueError, KeyError, TypeError):
        return None
