"""A run directory: who may write to it, which configuration it holds, where its files are."""

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mplug.config.load import completed
from mplug.errors import ConfigError, TrainingError
from mplug.training.checkpoints import Checkpoints
from mplug.training.distributed import Processes

CONFIG, METRICS, LOCK = "config.json", "metrics.jsonl", "lock"
FREE_FIELDS = (
    "data.workers",
    "train.log_every",
    "train.blind_every",
    "train.evaluate_every",
    "train.save_every",
    "train.keep",
    "train.choose",
)
"""Fields that change no weight of a step, so that a run may be continued with others."""

RELEASE_SECONDS = 10.0
"""How long workers of a killed run may hold its lock: they look for their parent now and then."""


class RunDirectory:
    """The files of one run; made by `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG
        self.metrics = path / METRICS
        self.model = path / "model"

    def checkpoints(self, *, keep: int) -> Checkpoints:
        """The run's checkpoints, of which the last `keep` stay."""
        return Checkpoints(self.path / "checkpoints", keep=keep)

    def forget_metrics_after(self, step: int) -> None:
        """Drop metrics of steps that a resumed run will do again, and a line cut short by a crash.

        Raises:
            OSError: the file cannot be rewritten.
        """
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                break  # the write that a crash cut short is the last one
        _write_whole(self.metrics, "".join(kept))


@contextmanager
def open_run(
    path: Path,
    *,
    config: Mapping[str, Any],
    processes: Processes,
    fresh: bool = False,
) -> Iterator[RunDirectory]:
    """Make or continue the run at `path`, and keep other processes out of it meanwhile.

    `config` is the resolved configuration as JSON values. With `fresh` a run that is already there
    is moved to `<path>.old`, in place of one moved there before.

    Raises:
        ConfigError: the run there has another configuration, or `path` holds something else.
        TrainingError: another process is using the run.
    """
    run = RunDirectory(path)
    lock = processes.on_main(lambda: _prepare(run, config=config, fresh=fresh))
    try:
        yield run
    finally:
        if lock is not None:
            lock.close()


def _prepare(run: RunDirectory, *, config: Mapping[str, Any], fresh: bool) -> TextIO:
    _refuse_foreign_folder(run)
    run.path.mkdir(parents=True, exist_ok=True)
    lock = _lock(run.path / LOCK)
    try:
        if fresh and run.config.exists():
            _move_aside(run.path)
        if run.config.exists():
            _compare(run, config=config)
        else:
            _write_whole(run.config, json.dumps(config, indent=2) + "\n")
        run.checkpoints(keep=1).clean()
    except BaseException:
        lock.close()
        raise
    return lock


def _refuse_foreign_folder(run: RunDirectory) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise ConfigError(f"{run.path} is a file; a run needs a folder")
    ours = {LOCK, CONFIG, f"{CONFIG}.new"}
    entries = {entry.name for entry in run.path.iterdir()} if run.path.exists() else set()
    if entries - ours and not run.config.exists():
        raise ConfigError(
            f"{run.path} holds other files ({', '.join(sorted(entries)[:3])}) and no {CONFIG}: "
            "choose an empty or new folder for the run"
        )


def _lock(path: Path) -> TextIO:
    """The kernel frees a lock when its process dies, so one left in a file is never in the way."""
    file = path.open("a+", encoding="utf-8")
    deadline = time.monotonic() + RELEASE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = _owner(file)
            if _alive(owner) or time.monotonic() > deadline:
                file.close()
                raise TrainingError(
                    f"{path.parent} is in use by process {owner.get('pid', '?')} on host "
                    f"{owner.get('host', '?')}: wait for it, stop it, or choose another folder"
                ) from None
            time.sleep(0.1)
    file.truncate(0)
    json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
    file.flush()
    return file


def _owner(file: TextIO) -> dict[str, Any]:
    file.seek(0)
    try:
        owner = json.loads(file.read())
    except ValueError:  # it has the lock and is about to write who it is
        return {}
    return owner if isinstance(owner, dict) else {}


def _alive(owner: Mapping[str, Any]) -> bool:
    """Unknown owners count as alive, except one that has yet to write its name."""
    if owner.get("host") != socket.gethostname():
        return bool(owner)
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _compare(run: RunDirectory, *, config: Mapping[str, Any]) -> None:
    try:
        stored = flatten(completed(json.loads(run.config.read_text(encoding="utf-8"))))
    except ValueError as error:
        raise ConfigError(f"{run.config} is not JSON ({error}); start over with --fresh") from error
    asked = flatten(config)
    changed = [
        f"{name}: {stored.get(name, 'absent')!r} there, {asked.get(name, 'absent')!r} now"
        for name in sorted(stored.keys() | asked.keys())
        if name not in FREE_FIELDS and stored.get(name, ...) != asked.get(name, ...)
    ]
    if changed:
        raise ConfigError(
            f"{run.path} holds a run with another configuration ({'; '.join(changed)}): choose "
            "another folder, or start over with --fresh"
        )


def flatten(values: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Nested settings as `a.b.c` names, in JSON's own types; lists stay whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, prefix=f"{prefix}{name}.")
        else:
            flat[prefix + name] = json.loads(json.dumps(value))
    return flat


def _move_aside(path: Path) -> None:
    """Move all but the lock, which stays held."""
    old = path.with_name(f"{path.name}.old")
    if old.exists():
        shutil.rmtree(old)
    old.mkdir()
    for entry in path.iterdir():
        if entry.name != LOCK:
            shutil.move(entry, old / entry.name)


def _write_whole(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
