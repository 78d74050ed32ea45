"""Batches by step: the same for any number of workers and processes, starting anywhere."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from torch.utils.data import DataLoader, Dataset

from mplug.data.batch import Examples, Skipped
from mplug.data.skips import Skips
from mplug.errors import ConfigError, MPlugError, TrainingError


@runtime_checkable
class Counted(Protocol):
    """What is needed of a batch: the pictures it could not use."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Those whose places others took."""
        ...


ExampleType = TypeVar("ExampleType")
BatchType = TypeVar("BatchType", bound=Counted)
Given = TypeVar("Given", contravariant=True)
Made = TypeVar("Made", bound=Counted, covariant=True)


@runtime_checkable
class Collate(Protocol[Given, Made]):
    """Examples to a batch, their texts padded with `pad_id`."""

    def __call__(self, examples: Sequence[Given], /, *, pad_id: int) -> Made: ...


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker; sent as a value, because not every exception can be pickled."""

    step: int
    error: MPlugError | None  # None for a fault of our own, which the traceback describes
    traceback: str

    def as_error(self) -> Exception:
        """The data's error as it was raised, or ours with the worker's traceback."""
        return self.error or RuntimeError(
            f"a data worker failed at step {self.step}:\n{self.traceback}"
        )


@dataclass(frozen=True)
class Steps(Dataset[BatchType | Failure], Generic[BatchType]):
    """One process's share of every step's batch, indexed by step."""

    examples: Examples[Any]
    collate: Collate[Any, BatchType]
    batch_size: int
    seed: int
    rank: int
    world: int
    pad_id: int

    def batch(self, step: int) -> BatchType:
        """Positions [step * batch_size + rank * local, ... + local), with local = batch / world."""
        local = self.batch_size // self.world
        first = step * self.batch_size + self.rank * local
        return self.collate(
            [self.examples.example(first + place, seed=self.seed) for place in range(local)],
            pad_id=self.pad_id,
        )

    def __getitem__(self, step: int) -> BatchType | Failure:
        """The batch, or what prevented it; runs in a worker."""
        try:
            return self.batch(step)
        except MPlugError as error:
            return Failure(step, error, "")
        except Exception:  # whatever it is, the main process raises it with this traceback
            return Failure(step, None, traceback.format_exc())


class Loader(Generic[BatchType]):
    """Feeds training, from this process or from worker processes.

    `skips` counts the pictures that could not be used, wherever they were decoded.

    Raises:
        ConfigError: the batch size is not a multiple of the number of processes.
    """

    def __init__(
        self,
        examples: Examples[ExampleType],
        *,
        collate: Collate[ExampleType, BatchType],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pad_id: int = 0,
        max_bad_share: float = 0.01,
        timeout_seconds: float = 120.0,
    ) -> None:
        if batch_size % world:
            raise ConfigError(
                f"batch size {batch_size} cannot be shared equally among {world} processes: "
                "make it a multiple of the number of processes"
            )
        self.workers = workers
        self.timeout_seconds = timeout_seconds
        self.skips = Skips(len(examples), max_bad_share=max_bad_share)
        self._steps = Steps(examples, collate, batch_size, seed, rank, world, pad_id)

    def batches(self, *, start_step: int = 0, steps: int) -> Iterator[BatchType]:
        """This process's part of the batches start_step ... start_step + steps - 1.

        Raises:
            DataError: too many pictures cannot be used.
            TrainingError: a worker process died or stopped answering.
        """
        wanted = range(start_step, start_step + steps)
        here = (self._steps.batch(step) for step in wanted)
        for batch in self._from_workers(wanted) if self.workers else here:
            self.skips.add(batch.skipped)
            yield batch

    def _from_workers(self, wanted: range) -> Iterator[BatchType]:
        # Tokenizers prints a warning when a process that used its threads is forked, unless told.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        # Garbage with threads of its own (a decoded clip's scaler) must not be left to the workers:
        # they have no such threads, and would wait for them for ever.
        gc.collect()
        results = iter(
            DataLoader(
                self._steps,
                batch_size=None,
                sampler=wanted,
                num_workers=self.workers,
                timeout=self.timeout_seconds,
                worker_init_fn=_leave_interrupts_to_the_parent,
                # Forked workers share the dataset's memory and start at once.
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )
        )
        try:
            for step in wanted:
                result = _next_result(results, step)
                if isinstance(result, Failure):
                    raise result.as_error()
                yield result
        finally:
            # Dropping the last reference stops the workers. An error's traceback would keep it,
            # until the garbage collector comes and finds the queues gone before the workers.
            del results


def _next_result(results: Iterator[BatchType | Failure], step: int) -> BatchType | Failure:
    try:
        return next(results)
    except RuntimeError as error:  # workers return their errors, so this one lost a worker
        reason = str(error)  # and not the error itself, whose traceback holds the workers
    raise TrainingError(
        f"a data worker process was lost while reading step {step}: {reason}\n"
        "often it ran out of memory: use fewer data.workers, or 0 to see the error"
    )


def _leave_interrupts_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal; the parent stops the workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
