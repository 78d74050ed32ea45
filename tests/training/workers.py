"""What tests run in processes of their own; forked from one that has imported torch already."""

import json
import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from mplug.config.schema import OptimConfig
from mplug.errors import DataError, MPlugError
from mplug.training import distributed
from mplug.training.distributed import Processes, processes
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
    distributed.ROLL_CALL_SECONDS = 1.0
    said = arguments[0] / f"said-{rank}"
    try:
        with processes("cpu", timeout_seconds=3) as joined_processes:
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


def use_collectives(together: Processes, folder: Path) -> None:
    """Every method on known numbers; what each process got goes to a file."""
    rank = together.rank
    rows = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) + 10 * rank
    rows.requires_grad_()
    gathered = together.gather_with_gradient(rows)
    # Each process weighs all rows by its own number: 1, then 2.
    weights = torch.arange(12.0).reshape(4, 3) * (rank + 1)
    torch.autograd.backward((gathered * weights).sum())
    assert rows.grad is not None
    results = {
        "gathered": gathered.tolist(),
        "gradient": rows.grad.tolist(),
        "whole": together.gather(torch.tensor([rank, rank + 5])).tolist(),
        "flags": together.gather(torch.tensor([rank == 0])).tolist(),
        "sum": together.all_sum(torch.tensor(rank + 1.5)).item(),
        "highest": together.highest(7 - rank),
        "object": together.broadcast_object({"rank": rank}),
        "on_main": together.on_main(lambda: f"by {rank}"),
    }
    (folder / f"results-{rank}").write_text(json.dumps(results), encoding="utf-8")


def fail_on_main(together: Processes, folder: Path) -> None:
    """A section of the main process fails while the others wait for it."""

    def section() -> None:
        raise DataError("the records are not there")

    together.on_main(section)


def train_together(together: Processes, folder: Path, optim: OptimConfig) -> None:
    """The contrastive toy, in `run`; the global losses go to a file."""
    task = Toy(processes=together, contrast=True)
    run_toy(folder / "run", task=task, processes=together, optim=optim)
    if together.main:
        losses = [float(loss) for loss in task.losses]
        (folder / "losses").write_text(json.dumps(losses), encoding="utf-8")


def train_with_fault(together: Processes, folder: Path, fault: str, rank: int) -> None:
    """The toy, in which process `rank` alone meets `fault` at step 5."""
    task = Toy(processes=together)
    if together.rank == rank:
        task.at_step = partial(meet, task, fault)
    run_toy(folder / "run", task=task, processes=together)


def meet(task: Toy, fault: str, step: int) -> None:
    if step != 5:
        return
    if fault == "killed":
        kill_self()
    elif fault == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault == "asked to end":
        os.kill(os.getpid(), signal.SIGTERM)
    elif fault == "bad number":
        task.blemish = float("inf")
