"""Folders of files that exist completely or not at all, whatever kills the process that writes.

A checkpoint is written to a temporary folder: the files, then `manifest.json` with their sizes and
hashes, each flushed to disk; then the folder is renamed. The latest is derived, never pointed to:
it is the highest step whose manifest verifies.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from mplug.errors import CheckpointError

FORMAT = 1
MANIFEST = "manifest.json"
TEMPORARY = "unfinished-"
_STEP = re.compile(r"step-(\d{8,})")

Writer = Callable[[Path], None]


class Checkpoint(NamedTuple):
    """A verified checkpoint: what was saved after `step` updates."""

    step: int
    folder: Path


class Found(NamedTuple):
    """The latest checkpoint that verifies, and what was wrong with later ones."""

    checkpoint: Checkpoint | None
    problems: list[str]


class Checkpoints:
    """The checkpoints of one run; only the process that holds the run's lock may write."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(
        self,
        step: int,
        *,
        writers: Mapping[str, Writer],
        expected_bytes: int = 0,
        best_step: int | None = None,
    ) -> Path:
        """Write one checkpoint, then remove all but the last `keep` and that of `best_step`.

        Raises:
            CheckpointError: it could not be written (disk full, input/output error); checkpoints
                from before are untouched.
        """
        final = self.folder_of(step)
        unfinished = self.folder / f"{TEMPORARY}{final.name}"
        try:
            self._check_space(expected_bytes)
            _remove(unfinished)
            unfinished.mkdir(parents=True)
            _write(unfinished, step=step, writers=writers)
            _remove(final)  # a damaged one: whoever saves this step resumed from before it
            os.rename(unfinished, final)
            _flush_folder(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)  # also removed at the next start
            raise CheckpointError(self._why(error, final=final, needed=expected_bytes)) from error
        self._prune(best_step)
        return final

    def folder_of(self, step: int) -> Path:
        """Where the checkpoint after `step` updates is, or would be."""
        return self.folder / f"step-{step:08d}"

    def latest(self) -> Found:
        """The highest step whose files all match its manifest, and what is wrong with later ones.

        Raises:
            CheckpointError: a checkpoint was written by a newer version, or there are checkpoints
                and none of them is whole.
        """
        problems: list[str] = []
        for step, folder in reversed(self._steps()):
            problem = find_damage(folder)
            if problem is None:
                return Found(Checkpoint(step, folder), problems)
            problems.append(problem)
        if problems:
            raise CheckpointError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(problems)}. "
                "Start over with --fresh"
            )
        return Found(None, problems)

    def clean(self) -> None:
        """Remove what a process that died while saving left behind."""
        for leftover in self.folder.glob(f"{TEMPORARY}*"):
            _remove(leftover)

    def _steps(self) -> list[tuple[int, Path]]:
        if not self.folder.is_dir():
            return []
        matches = ((_STEP.fullmatch(entry.name), entry) for entry in self.folder.iterdir())
        return sorted((int(match[1]), entry) for match, entry in matches if match)

    def _prune(self, best_step: int | None) -> None:
        for step, folder in self._steps()[: -self.keep]:
            # A folder that cannot be removed now costs space, not the run: the next save retries.
            if step != best_step:
                shutil.rmtree(folder, ignore_errors=True)

    def _check_space(self, expected_bytes: int) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
        if shutil.disk_usage(self.folder).free < expected_bytes:
            raise OSError("the disk is too full")

    def _why(self, error: Exception, *, final: Path, needed: int) -> str:
        parent = self.folder if self.folder.is_dir() else self.folder.parent
        free = shutil.disk_usage(parent).free
        return (
            f"could not save {final}: {error}. It needs about {needed:,} bytes and {free:,} are "
            "free. Earlier checkpoints are intact: make room, then run the same command again"
        )


def find_damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint: the file and the reason; None when it is whole.

    Raises:
        CheckpointError: it was written by a newer version.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest.pop("checksum") != _checksum(manifest):
            return f"{folder / MANIFEST} does not match its checksum"
        if manifest["format"] > FORMAT:
            raise CheckpointError(
                f"{folder} has format {manifest['format']}, this version reads up to {FORMAT}: "
                "use the mplug that wrote it, or a newer one"
            )
        for name, expected in manifest["files"].items():
            path = folder / name
            if path.stat().st_size != expected["bytes"]:
                return f"{path} has {path.stat().st_size} bytes instead of {expected['bytes']}"
            if _sha256(path) != expected["sha256"]:
                return f"{path} does not match its hash"
    except OSError as error:
        return f"{folder}: {error}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{folder / MANIFEST} cannot be read: {error!r}"
    return None


def _write(folder: Path, *, step: int, writers: Mapping[str, Writer]) -> None:
    for name, writer in writers.items():
        writer(folder / name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        _flush_file(path)
    listed = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": _sha256(path),
        }
        for path in files
    }
    manifest = {"format": FORMAT, "step": step, "files": listed}
    text = json.dumps({**manifest, "checksum": _checksum(manifest)}, indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    _flush_file(folder / MANIFEST)
    _flush_folder(folder)


def _flush_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _checksum(manifest: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
