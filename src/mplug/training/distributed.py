"""The same code in one process or many: who we are, sums, gathers, sections for one process."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mplug.errors import ConfigError, MPlugError, TrainingError

LAST_TO_LEAVE_SECONDS = 1.0
"""The main process holds the store through which the others part; they must have done so first."""

Result = TypeVar("Result")
ROLL_CALL_SECONDS = 5.0
"""How long those who are left wait for each of the others, after a collective has failed."""


class _Gather(torch.autograd.Function):
    """Concatenates the processes' tensors; each gets the summed gradient of its own rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, world: int, rank: int) -> Tensor:
        ctx.rank, ctx.rows = rank, tensor.shape[0]
        return _all_gather(tensor, world=world)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rank * ctx.rows : (ctx.rank + 1) * ctx.rows], None, None


def _all_gather(tensor: Tensor, *, world: int) -> Tensor:
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)


@dataclass(frozen=True)
class Processes:
    """This process among `world` equal ones; with one, every method is free.

    A method that communicates must be called by all processes, in the same order.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def main(self) -> bool:
        """True in the one process that writes files and talks."""
        return self.rank == 0

    def all_sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, as a new tensor without gradient."""
        total = tensor.detach().clone()
        if self.world > 1:
            dist.all_reduce(total)
        return total

    def gather(self, tensor: Shaped[Tensor, "rows *rest"]) -> Shaped[Tensor, "all_rows *rest"]:
        """All processes' rows in order of rank, without gradient; every process has as many."""
        if self.world == 1:
            return tensor.detach()
        if tensor.dtype == torch.bool:  # gloo moves no booleans
            return _all_gather(tensor.to(torch.uint8), world=self.world).bool()
        return _all_gather(tensor, world=self.world)

    def gather_with_gradient(
        self, tensor: Shaped[Tensor, "rows *rest"]
    ) -> Shaped[Tensor, "all_rows *rest"]:
        """All processes' rows in order of rank; the gradient of the summed losses flows back.

        DDP averages parameters' gradients over the processes, so a loss that is each process's
        mean over its own rows against the gathered ones trains exactly as one process would.
        """
        if self.world == 1:
            return tensor
        gathered: Tensor = _Gather.apply(tensor, self.world, self.rank)  # type: ignore[no-untyped-call]
        return gathered

    def highest(self, number: int) -> int:
        """The largest of all processes' numbers: what any one of them has to tell the others."""
        if self.world == 1:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest.item())

    def broadcast_object(self, value: Result) -> Result:
        """The main process's `value`, in all of them."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def fail(self, error: MPlugError) -> NoReturn:
        """End every process over what all of them know; the main one alone has the message.

        Raises:
            `error` in the main process; the others end at once, with its exit code.
        """
        if self.main:
            if self.world > 1:
                time.sleep(LAST_TO_LEAVE_SECONDS)
            raise error
        # Taking the process group apart here was seen to hang now and then.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.exit_code)

    def on_main(self, section: Callable[[], Result]) -> Result | None:
        """Run `section` in the main process alone, the others waiting for it.

        Returns its result there, None in the others.

        Raises:
            Whatever `section` raises, in the main process; SystemExit with its exit code in the
            others, which have nothing to add to its message.
        """
        if self.world == 1:
            return section()
        if not self.main:
            code = self.broadcast_object(0)
            if code:
                raise SystemExit(code)
            return None
        try:
            result = section()
        except Exception as error:
            self.broadcast_object(error.exit_code if isinstance(error, MPlugError) else 1)
            raise
        self.broadcast_object(0)
        return result


def choose_device(word: str, *, local_rank: int = 0) -> torch.device:
    """The device for `cpu`, `cuda`, `mps` or `auto`, which takes the fastest there is.

    Processes on one machine each take their own GPU.

    Raises:
        ConfigError: torch cannot use that device here.
    """
    if word == "auto":
        fast = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        word = next((name for name, available in fast.items() if available), "cpu")
    if word == "cpu":
        return torch.device("cpu")
    if word == "cuda" and torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local_rank} has no GPU: this machine shows {torch.cuda.device_count()}; "
                "start at most as many processes"
            )
        return torch.device("cuda", local_rank)
    if word == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    if word in ("cuda", "mps"):
        raise ConfigError(f"device {word!r} is not available here; `mplug doctor` says what is")
    raise ConfigError(f"device {word!r} is not known; use cpu, cuda, mps or auto")


@contextmanager
def processes(device: str = "cpu", *, timeout_seconds: float = 600.0) -> Iterator[Processes]:
    """Join the processes that `torchrun` or `launch` started, or be the only one.

    A collective that waits longer than `timeout_seconds` for another process fails. The group is
    left standing, for the process to end with: taking it apart was seen to hang and to abort.

    Raises:
        ConfigError: the device does not exist.
        TrainingError: the processes do not find each other, or one of them is lost.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    place = choose_device(device, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world == 1:
        yield Processes(device=place)
        return
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_seconds)
    try:
        store, rank, world = next(rendezvous("env://", timeout=timeout))
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=timeout)
    except (dist.DistError, RuntimeError) as error:
        raise TrainingError(
            f"process {rank} of {world} did not find the others: {error}"
        ) from error
    try:
        yield Processes(rank=rank, world=world, device=place)
    except RuntimeError as error:
        if not _says_lost(error):
            raise
        _call_roll(PrefixStore("roll", store), rank=rank, world=world, error=error)


def _says_lost(error: RuntimeError) -> bool:
    """Whether a collective failed; gloo raises plain RuntimeErrors that name its source files."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


def _call_roll(store: Store, *, rank: int, world: int, error: RuntimeError) -> NoReturn:
    """After a failed collective: those who are left report, and one of them names the others.

    Process 0 speaks if it is left; the others answer it, and speak only when it is silent.

    Raises:
        TrainingError: naming the processes that are lost.
        SystemExit: in those with nothing to add.
    """
    silent = _silent(store, rank=rank, world=world)
    if rank > 0 and not silent:
        raise SystemExit(TrainingError.exit_code)
    lost = f"process {', '.join(map(str, silent))} of {world}" if silent else "a process"
    raise TrainingError(
        f"{lost} was lost: it ended, or did not answer in time. Its own last words, if any, say "
        "why; the same command continues from the last checkpoint"
    ) from error


def _silent(store: Store, *, rank: int, world: int) -> list[int]:
    """The other processes that process 0 misses; for another process, whether 0 is one of them.

    In a thread: process 0 keeps the store, and if it is stopped its answers never come.
    """
    silent = [0] if rank else list(range(1, world))

    def ask() -> None:
        wait = timedelta(seconds=ROLL_CALL_SECONDS)
        if rank == 0:
            store.set("0", "here")
        for other in list(silent):
            with suppress(RuntimeError):  # it did not answer
                store.wait([str(other)], wait)
                silent.remove(other)
        if rank > 0:
            store.set(str(rank), "here")

    caller = threading.Thread(target=ask, daemon=True)
    caller.start()
    caller.join(ROLL_CALL_SECONDS * world)
    return list(silent)
