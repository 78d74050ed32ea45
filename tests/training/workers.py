"""What tests run in processes of their own; forked from one that has imported torch already."""

import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from mplug.errors import MPlugError
from mplug.training.distributed import processes
from tests.training.faults import fault_at
from tests.training.toy import Toy, run_toy

DEADLINE_SECONDS = 60
# What takes long to import; not this module, which the server does not find on its path.
PRELOADED = ["torch", "torch._dynamo", "mplug.training.loop"]


def context() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    return server


def start(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    process = context().Process(target=target, args=arguments)
    process.start()
    return process


def codes(running: Sequence[ForkServerProcess]) -> list[int | None]:
    """The exit codes, as the shell gives them."""
    for process in running:
        process.join(DEADLINE_SECONDS)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"a test process ran for more than {DEADLINE_SECONDS} s")
    return [process.exitcode for process in running]


def start_world(
    world: int, target: Callable[..., None], *arguments: Any
) -> list[ForkServerProcess]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    return [start(joined, rank, world, port, target, *arguments) for rank in range(world)]


def joined(rank: int, world: int, port: int, target: Callable[..., None], *arguments: Any) -> None:
    """Run `target(processes, ...)` as one of `world` processes; errors as the command line does."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    said = arguments[0] / f"said-{rank}"
    try:
        with processes("cpu", timeout_seconds=4) as joined_processes:
            target(joined_processes, *arguments)
    except MPlugError as error:
        said.write_text(str(error), encoding="utf-8")
        raise SystemExit(error.exit_code) from error
    except Exception:
        said.write_text(traceback.format_exc(), encoding="utf-8")
        raise


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_operation(path: Path, number: int) -> None:
    """Train, and be killed at the `number`-th file operation."""
    with fault_at(number, kill_self):
        run_toy(path)


def hold(path: Path, ready: Path) -> None:
    """Take the run, say so, and keep it until killed."""
    task = Toy()

    def wait(step: int) -> None:
        ready.touch()
        signal.pause()

    task.at_step = wait
    run_toy(path, task=task)


def signalled_twice(path: Path) -> None:
    """Ask for an end twice within one step, which otherwise would not end at all."""
    task = Toy()

    def ask(step: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    task.at_step = ask
    run_toy(path, task=task)
