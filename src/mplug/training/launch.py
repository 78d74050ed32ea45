"""Several processes of one command on this machine, with the environment that torchrun would give.

Not torchrun itself: it answers every failure with exit code 1 and a report of its own, while this
passes on the processes' exit codes, and signals only once. It imports no torch.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from mplug.errors import TrainingError

GRACE_SECONDS = 15.0
"""How long the others may take to notice a lost process and leave by themselves."""

POLL_SECONDS = 0.05
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def launch(command: Sequence[str], *, processes: int) -> int:
    """Run `command` in `processes` processes at once, sharing the cores; returns its exit code.

    That is 0 if all succeed, else the first failing process's code, 128 + N if signal N killed it.
    SIGINT and SIGTERM are passed on to every process.

    Raises:
        TrainingError: the command cannot be started.
    """
    shared = _environment(processes)
    children: list[subprocess.Popen[bytes]] = []
    with _passing_on_signals(children):
        try:
            for rank in range(processes):
                own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                # A session of their own: a Ctrl-C in the terminal reaches them through us, once.
                children.append(subprocess.Popen(command, env=shared | own, start_new_session=True))
            return _wait(children)
        except OSError as error:
            raise TrainingError(f"could not start {command[0]!r}: {error}") from error
        finally:
            _end(children)


def _environment(processes: int) -> dict[str, str]:
    threads = max(1, available_cores() // processes)
    defaults = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # DDP's advice and socket notes, once per process
    }
    if sys.platform in LOOPBACK:  # a host name that does not resolve would stop gloo otherwise
        defaults["GLOO_SOCKET_IFNAME"] = LOOPBACK[sys.platform]
    meeting = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    return defaults | dict(os.environ) | meeting


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; elsewhere all cores may be used
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@contextmanager
def _passing_on_signals(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """The first failure's code, once all have left or had time to."""
    code, deadline = 0, float("inf")
    while time.monotonic() < deadline:
        returned = [child.poll() for child in children]
        failed = [(rank, value) for rank, value in enumerate(returned) if value]
        if failed and not code:
            code = _exit_code(*failed[0], processes=len(children))
            deadline = time.monotonic() + GRACE_SECONDS
        if None not in returned:
            break
        time.sleep(POLL_SECONDS)
    return code


def _exit_code(rank: int, returned: int, *, processes: int) -> int:
    if returned > 0:
        return returned
    name = signal.Signals(-returned).name
    print(f"process {rank} of {processes} was killed by {name}", file=sys.stderr, flush=True)
    return 128 - returned


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
    for child in children:
        child.wait()
