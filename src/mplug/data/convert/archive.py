"""Reading files out of published archives; names in them never decide where something is written.

Only regular files whose base name fits a pattern are read, up to a size; links, devices and paths
are ignored.
"""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from mplug.errors import DataError


def tar_files(
    path: Path, pattern: re.Pattern[str], *, max_bytes: int
) -> Iterator[tuple[str, bytes]]:
    """Base name and content of each file of a tar archive (compressed or not) that fits.

    Raises:
        DataError: it cannot be read as an archive, or a file is larger than any should be.
    """
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for entry in archive:
                name = entry.name.rsplit("/", 1)[-1]
                if not entry.isfile() or not pattern.fullmatch(name):
                    continue
                _check_size(path, entry.name, entry.size, max_bytes)
                content = archive.extractfile(entry)
                if content is not None:
                    yield name, content.read()
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as a tar archive: {error}") from error


def zip_files(
    path: Path, pattern: re.Pattern[str], *, max_bytes: int
) -> Iterator[tuple[re.Match[str], bytes]]:
    """Match of the whole name, and content, of each file of a zip archive that fits.

    Raises:
        DataError: it cannot be read as an archive, or a file is larger than any should be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = pattern.fullmatch(entry.filename)
                if name is None:
                    continue
                _check_size(path, entry.filename, entry.file_size, max_bytes)
                yield name, archive.read(entry)
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        # RuntimeError: encrypted
        raise DataError(f"{path}: cannot be read as a zip archive: {error}") from error


def _check_size(path: Path, name: str, size: int, limit: int) -> None:
    if size > limit:
        raise DataError(f"{path}: {name[:200]} has {size:,} bytes; the limit is {limit:,}")
