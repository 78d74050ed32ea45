"""The loop: now and then evaluate and save, then one update, then log."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mplug.config.schema import OptimConfig, TrainConfig
from mplug.errors import ConfigError, TrainingError
from mplug.training import best
from mplug.training.checkpoints import Checkpoint, find_damage
from mplug.training.clock import Clock
from mplug.training.distributed import Processes
from mplug.training.guard import FiniteGuard
from mplug.training.interrupts import Interrupted, Interrupts, interrupts
from mplug.training.logging import JsonLines, Reporter, Window
from mplug.training.memory import keep_freed_memory
from mplug.training.optim import (
    build_optimizer,
    check_groups,
    clip_gradients,
    gradient_norm,
    set_learning_rate,
)
from mplug.training.randomness import seed_all
from mplug.training.run import RunDirectory
from mplug.training.state import Progress, TrainingState
from mplug.training.task import Batches, BatchType, StepResult, Task

EVALUATION, BLIND = -1, -2  # places for `seed_all` that no accumulated part has
NOT_FINITE = 1 << 16  # what one process tells the others; above every signal's number


@dataclass(frozen=True)
class Outcome:
    """A finished run: the updates done, the evaluation of its model, the seconds of updates.

    `chosen` is the step after which the model was at its best, where `train.choose` asks for that.
    """

    step: int
    evaluation: dict[str, float]
    seconds: float
    chosen: int | None = None


def train(
    task: Task[BatchType],
    batches: Batches[BatchType],
    *,
    optim: OptimConfig,
    settings: TrainConfig,
    run: RunDirectory,
    processes: Processes,
    reporters: Sequence[Reporter] = (),
) -> Outcome:
    """Train `task` from the run's latest checkpoint, or from the start, to `optim.steps` updates.

    With `settings.choose` the task is left as it was at its best by that validation figure.

    Raises:
        Interrupted: a signal asked for an end; the run has saved itself and can be continued.
        TrainingError: a loss or gradient is not finite, or the batches end too early.
        CheckpointError: a checkpoint cannot be read or written.
        ConfigError: the global batch cannot be shared out evenly, or no evaluation has the figure
            to choose by.
    """
    keep_freed_memory()
    engine = Engine(task, optim=optim, settings=settings, run=run, processes=processes)
    with interrupts() as asked, engine.listening(reporters):
        engine.resume()
        stream = batches(engine.progress.step * optim.accumulate)
        while True:
            engine.now_and_then(asked)
            if engine.progress.step == optim.steps:
                return engine.finish()
            engine.update(stream, asked)
            engine.log()


class Engine(Generic[BatchType]):
    """A run's task, optimiser, progress and listeners, and what happens to them."""

    def __init__(
        self,
        task: Task[BatchType],
        *,
        optim: OptimConfig,
        settings: TrainConfig,
        run: RunDirectory,
        processes: Processes,
    ) -> None:
        self.task, self.optim, self.settings = task, optim, settings
        self.run, self.processes = run, processes
        _check_batch(optim, world=processes.world)
        task.to(processes.device)
        groups = task.parameter_groups()
        check_groups(
            groups, trainable=[(n, p) for n, p in task.named_parameters() if p.requires_grad]
        )
        self.optimizer = build_optimizer(
            groups,
            weight_decay=optim.weight_decay,
            betas=optim.betas,
            device=processes.device,
            eps=optim.epsilon,
        )
        self.model = cast(nn.Module, task)
        self.guard = FiniteGuard(self.optimizer, device=processes.device)
        self.progress = Progress()
        self.state = TrainingState(task, self.optimizer, self.progress)
        self.checkpoints = run.checkpoints(keep=settings.keep)
        self.window, self.clock = Window({}), Clock()
        self.reporters: list[Reporter] = []
        self.metrics: JsonLines | None = None
        self.lr = 0.0
        self.stop, self.saved_at = 0, -1

    # --- before the first update ---

    @contextmanager
    def listening(self, reporters: Sequence[Reporter]) -> Iterator[None]:
        """Tell `reporters`, in the main process, until the run ends for whatever reason."""
        self.reporters = list(reporters) if self.processes.main else []
        try:
            yield
        finally:
            for reporter in self.reporters:
                reporter.close()

    def resume(self) -> None:
        """Restore the latest checkpoint, if any, then join the processes and start the clock."""
        found = self.processes.on_main(self.checkpoints.latest)
        step = found.checkpoint.step if found and found.checkpoint else -1
        step = self.processes.highest(step)
        if step >= 0:
            self.state.restore(Checkpoint(step, self.checkpoints.folder_of(step)))
            self.saved_at = self.progress.step
        lost = self._forget_best()
        problems = (
            [f"skipped a damaged checkpoint: {each}" for each in found.problems] if found else []
        )
        self.window, self.clock = Window(self.progress.window), Clock(self.progress.seconds)
        self.processes.on_main(lambda: self._open_metrics([*problems, *lost]))
        if self.processes.world > 1:
            self.model = self._join_processes()
        self.task.train()
        self.clock.start(self.progress.step)

    def _forget_best(self) -> list[str]:
        """Choose anew where another figure is to choose, or the best checkpoint is lost; say so."""
        step = self.progress.best_step
        if step >= 0 and self.progress.best_by != self.settings.choose:
            best.forget(self.progress)
        elif step >= 0 and step != self.progress.step:
            folder = self.checkpoints.folder_of(step)
            damage = self.processes.on_main(lambda: find_damage(folder))
            if self.processes.highest(int(damage is not None)):
                best.forget(self.progress)
                return [f"the best model so far is lost, later ones are chosen from: {damage}"]
        return []

    def _open_metrics(self, problems: Sequence[str]) -> None:
        self.run.forget_metrics_after(self.progress.step)
        self.metrics = JsonLines(self.run.metrics)
        self.reporters.append(self.metrics)
        for reporter in self.reporters:
            reporter.start(step=self.progress.step, steps=self.optim.steps)
            for problem in problems:
                reporter.note(problem)

    def _join_processes(self) -> nn.Module:
        device = self.processes.device
        # Of convolutions of one pixel, in which both orders of strides lie alike in memory.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
        with warnings.catch_warnings():  # torch 2.13 renames an option that 2.10 knows by this name
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            return DistributedDataParallel(
                self.model,
                device_ids=None if device.type == "cpu" else [device],
                broadcast_buffers=False,  # every process computes the same buffers
                find_unused_parameters=True,  # an objective with a period leaves some out
                gradient_as_bucket_view=True,
            )

    # --- now and then ---

    def now_and_then(self, asked: Interrupts) -> None:
        """Evaluate and save where that is due; save and leave where a signal asked for it.

        Raises:
            Interrupted: after saving.
        """
        step, last = self.progress.step, self.progress.step == self.optim.steps
        evaluation_due = last or _due(step, self.settings.evaluate_every)
        best_yet = False
        if evaluation_due and step != self.progress.evaluated_at and not self._stop(asked):
            self.check_finite()
            best_yet = self.evaluate()
        save_due = last or best_yet or self._stop(asked) or _due(step, self.settings.save_every)
        if save_due and step != self.saved_at:
            self.check_finite()
            self.save()
        if self._stop(asked) and not last:
            self.processes.fail(
                Interrupted(self.stop, step=step, steps=self.optim.steps, path=self.run.path)
            )

    def _stop(self, asked: Interrupts) -> int:
        """The signal that ends this run; one of many processes waits until all know of it."""
        if self.processes.world == 1:
            self.stop = asked.signal
        return self.stop

    def evaluate(self) -> bool:
        """Measure the validation figures and tell the listeners; whether they are to be kept."""
        with self._aside(EVALUATION):
            self.progress.evaluation = {k: float(v) for k, v in self.task.evaluate().items()}
        self.progress.evaluated_at = self.progress.step
        self._tell({"kind": "evaluation", "step": self.progress.step, **self.progress.evaluation})
        figure = self.settings.choose
        if figure is None:
            return False
        try:
            better = best.consider(self.progress, figure=figure)
        except ConfigError as error:
            self.processes.fail(error)
        # Were processes to round differently, some would wait for others that save nothing.
        best_yet = bool(self.processes.highest(int(better)))
        if best_yet:
            self._note(f"the best {figure} so far: {self.progress.best[figure]:.4g}")
        return best_yet

    def save(self) -> None:
        """Write a checkpoint; other processes wait for it."""
        self.progress.window = self.window.settle(self.processes)
        self.progress.seconds = self.clock.seconds
        with self.clock.pause():
            self.processes.on_main(self._write_checkpoint)
        self.saved_at = self.progress.step

    def _write_checkpoint(self) -> None:
        if self.metrics is not None:
            self.metrics.sync()
        self.checkpoints.save(
            self.progress.step,
            writers=self.state.writers(),
            expected_bytes=self.state.expected_bytes(),
            best_step=self.progress.best_step,
        )

    # --- one update ---

    def update(self, stream: Iterator[BatchType], asked: Interrupts) -> None:
        """Update the parameters once, from `accumulate` batches.

        Raises:
            TrainingError: a loss or gradient is not finite; nothing has been updated.
        """
        step = self.progress.step
        self.lr = set_learning_rate(
            self.optimizer,
            step=step,
            warmup_steps=self.optim.warmup_steps,
            steps=self.optim.steps,
            final_share=self.optim.final_lr_share,
        )
        self.task.before_step(step)
        results = [self._part(stream, part) for part in range(self.optim.accumulate)]
        norm = gradient_norm(self.optimizer)
        for logs in (*(result.logs for result in results), {"gradient_norm": norm}):
            self.window.add(logs)
        losses = [result.loss.detach().float() for result in results]
        self.guard.watch(torch.stack([norm, *losses]), step=step)
        self._agree(asked)
        clip_gradients(self.optimizer, norm=norm, max_norm=self.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.task.after_step()
        self.progress.step += 1

    def _part(self, stream: Iterator[BatchType], part: int) -> StepResult:
        """Forward and backward of one of an update's batches."""
        step = self.progress.step
        batch = self._next(stream)
        if part == 0 and step % self.settings.blind_every == 0:
            self._measure_blind(batch)
        self._seed(step, part, self.processes.rank)
        with self._gradients_shared(last=part == self.optim.accumulate - 1):
            with self._precision():
                result: StepResult = self.model(batch, step)
            torch.autograd.backward(result.loss / self.optim.accumulate)
        return result

    def _next(self, stream: Iterator[BatchType]) -> BatchType:
        try:
            return next(stream).to(self.processes.device)
        except StopIteration:
            raise TrainingError(
                f"the batches ended at step {self.progress.step} of {self.optim.steps}"
            ) from None

    def _measure_blind(self, batch: BatchType) -> None:
        with self._aside(BLIND):
            blind = self.task.blind(batch, self.progress.step)
        measured = Window({name: [float(value)] for name, value in blind.items()})
        self.progress.blind |= measured.means(self.processes)

    def _agree(self, asked: Interrupts) -> None:
        """Before the update, all learn whether one has bad numbers or was asked to stop."""
        bad = self.guard.immediate and self.guard.first_bad() is not None
        told = self.processes.highest(NOT_FINITE if bad else asked.signal)
        if told == NOT_FINITE:
            self._fail_not_finite()
        self.stop = told

    def check_finite(self) -> None:
        """Read the guard, before what it guards is told or saved.

        Raises:
            TrainingError: a loss or gradient was not finite; no update has happened since.
        """
        if self.processes.highest(int(self.guard.first_bad() is not None)):
            self._fail_not_finite()

    def _fail_not_finite(self) -> None:
        step = self.guard.first_bad()
        values = self.window.settle(self.processes)
        # Without a step of its own, this process has been told of another's.
        step = self.progress.step if step is None else step
        self.processes.fail(TrainingError(_not_finite(self.task, values=values, step=step)))

    # --- log ---

    def log(self) -> None:
        """Where due, tell the means since the last log beside the blind values."""
        step, steps = self.progress.step, self.optim.steps
        if step != steps and not _due(step, self.settings.log_every):
            return
        self.check_finite()
        figures = self.progress.blind | self.window.means(self.processes)
        line = {"kind": "train", "step": step, **figures, "lr": self.lr}
        line["examples_per_second"] = self.clock.lap(step) * self.optim.batch_size
        line["seconds"] = self.clock.seconds
        line["seconds_left"] = self.clock.left(step, steps=steps)
        self._tell(line)

    def finish(self) -> Outcome:
        """What the run has come to; where a figure chooses, the task becomes what it was then.

        Raises:
            CheckpointError: the chosen state cannot be read.
        """
        progress, figure = self.progress, self.settings.choose
        if figure is None:
            return Outcome(progress.step, progress.evaluation, progress.seconds)
        chosen = progress.best_step
        if chosen < 0:
            self._note(f"no evaluation has a {figure} to choose by: the last step's model is left")
            return Outcome(progress.step, progress.evaluation, progress.seconds)
        if chosen != progress.step:
            self.state.restore_task(self.checkpoints.folder_of(chosen))
        value = f"{figure} {progress.best[figure]:.4g}"
        self._note(f"the model after step {chosen} of {progress.step} is the best ({value})")
        return Outcome(progress.step, progress.best, progress.seconds, chosen)

    def _tell(self, line: Mapping[str, Any]) -> None:
        for reporter in self.reporters:
            reporter.line(line)

    def _note(self, text: str) -> None:
        for reporter in self.reporters:
            reporter.note(text)

    # --- surroundings ---

    @contextmanager
    def _aside(self, place: int) -> Iterator[None]:
        """Eval mode, no gradient, randomness of its own, and off the clock."""
        self._seed(self.progress.step, place)
        self.task.train(False)
        try:
            with self.clock.pause(), torch.no_grad(), self._precision():
                yield
        finally:
            self.task.train()

    def _seed(self, *place: int) -> None:
        seed_all(self.settings.seed, *place, device=self.processes.device)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.optim.precision == "float32":
            return nullcontext()
        return torch.autocast(self.processes.device.type, dtype=torch.bfloat16)

    def _gradients_shared(self, *, last: bool) -> AbstractContextManager[Any]:
        """Processes average their gradients once an update, with its last part."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            return cast(AbstractContextManager[Any], self.model.no_sync())
        return nullcontext()


def _check_batch(optim: OptimConfig, *, world: int) -> None:
    if optim.batch_size % (optim.accumulate * world):
        raise ConfigError(
            f"optim.batch_size {optim.batch_size} cannot be split into {optim.accumulate} "
            f"accumulated parts for {world} processes: choose a multiple of "
            f"{optim.accumulate * world}"
        )


def _due(step: int, every: int) -> bool:
    return step > 0 and step % every == 0


def _not_finite(task: Task[Any], *, values: Mapping[str, Sequence[float]], step: int) -> str:
    """Which logged values, and which gradients first, are not finite."""
    latest = ", ".join(f"{name} {numbers[-1]:.4g}" for name, numbers in values.items())
    bad = [
        name
        for name, parameter in task.named_parameters()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    gradients = f"; gradients not finite in {len(bad)} tensors, first {bad[0]}" if bad else ""
    return (
        f"step {step}: the loss or its gradient is not finite ({latest}){gradients}. Nothing was "
        "updated; the last checkpoint is from before. Try a lower optim.lr or more "
        "optim.warmup_steps"
    )
