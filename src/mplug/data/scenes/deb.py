"""Reading files out of a Debian package; nothing is unpacked to disk."""

import io
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

from mplug.errors import DataError

MAGIC = b"!<arch>\n"
HEADER = 60  # bytes before each part: name 16, time 12, owners 12, mode 8, size 10, end 2
MAX_BYTES = 64 * 1024 * 1024  # of one file


class _Part(io.RawIOBase):
    """A part of an open file, read once from front to back."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the part."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def read_members(deb: Path, names: Collection[str]) -> dict[str, bytes]:
    """The content of those of the named files, given without leading slash, that a package holds.

    Raises:
        DataError: it cannot be read as a package, or a file is larger than any should be.
    """
    try:
        with deb.open("rb") as file:
            part = _find_data(deb, file)
            with tarfile.open(fileobj=part, mode="r|*") as archive:
                return _read(deb, archive, names)
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(f"{deb}: cannot be read as a Debian package: {error}") from error


def _find_data(deb: Path, file: IO[bytes]) -> _Part:
    if file.read(len(MAGIC)) != MAGIC:
        raise DataError(f"{deb}: is no Debian package")
    while header := file.read(HEADER):
        if len(header) < HEADER:
            break
        name, size = header[:16].decode("ascii", "replace").strip(), int(header[48:58])
        if name.startswith("data.tar"):
            return _Part(file, size)
        file.seek(size + size % 2, io.SEEK_CUR)
    raise DataError(f"{deb}: is a Debian package without data, or was cut off")


def _read(deb: Path, archive: tarfile.TarFile, names: Collection[str]) -> dict[str, bytes]:
    found = {}
    for entry in archive:
        name = entry.name.removeprefix("./")
        if name not in names or not entry.isfile():
            continue
        if entry.size > MAX_BYTES:
            raise DataError(f"{deb}: {name} has {entry.size:,} bytes; the limit is {MAX_BYTES:,}")
        content = archive.extractfile(entry)
        if content is not None:
            found[name] = content.read()
    return found
