"""Pickles read as plain data: in a process of its own that refuses everything else by name.

A pickle can name any function and have it called. `pickle_child.py` reads it with a list of what
may be named (numbers of numpy, through stand-ins of its own), within limits of time, memory and
size, and answers in JSON. Nothing that a file says reaches this process but texts, numbers, true,
false, null, lists and objects.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mplug.errors import DataError

CHILD = Path(__file__).with_name("pickle_child.py")
TORCH_SUFFIXES = (".pth", ".pt")
MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What reading one file may take."""

    seconds: int = 600
    memory_bytes: int = 8192 * MIB
    file_bytes: int = 1024 * MIB
    values: int = 50_000_000  # texts, numbers, lists and objects; copies by reference count too


def read_plain(path: Path, *, limits: Limits | None = None) -> Any:
    """What a pickle or a `.pth` file holds, tuples and arrays as lists.

    Texts that Python 2 wrote are read as UTF-8, and as Latin-1 where they are not.

    Raises:
        DataError: it cannot be read, is damaged, passes a limit, or names something that is not
            plain data, which is then neither imported nor called.
    """
    limits = limits or Limits()
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if size > limits.file_bytes:
        raise DataError(
            f"{path}: {size:,} bytes are more than the limit of {limits.file_bytes:,}: not read"
        )
    kind = "torch" if path.suffix.lower() in TORCH_SUFFIXES else "pickle"
    request = json.dumps({"path": os.path.abspath(path), "kind": kind, **asdict(limits)})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", str(CHILD)],
            input=request.encode(),
            capture_output=True,
            timeout=2 * limits.seconds,  # the child's own limit counts processor seconds
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{path}: reading it took more than {2 * limits.seconds} s") from error
    return _answer(path, done)


def _answer(path: Path, done: "subprocess.CompletedProcess[bytes]") -> Any:
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        end = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        raise DataError(
            f"{path}: the process that read it ended with {end}: it is damaged or hostile, or "
            "passes the limits of time and memory"
        ) from None
    if "problem" in answer:
        raise DataError(f"{path}: {answer['problem']}")
    return answer["value"]
