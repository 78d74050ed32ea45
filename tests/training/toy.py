"""A tiny task with all that makes resuming hard: dropout, buffers, an averaged teacher, periods."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mplug.config.schema import OptimConfig, TrainConfig
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome, train
from mplug.training.run import RunDirectory, open_run
from mplug.training.task import Batches, Group, StepResult

INPUTS, HIDDEN, CLASSES = 5, 7, 3
BATCH_SIZE, STEPS = 4, 12
OPTIM = OptimConfig(steps=STEPS, batch_size=BATCH_SIZE, lr=0.01, warmup_steps=3)
SETTINGS = TrainConfig(log_every=5, blind_every=4, evaluate_every=6, save_every=2)
ALONE = Processes()


@dataclass(frozen=True)
class ToyBatch:
    inputs: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "ToyBatch":
        return ToyBatch(self.inputs.to(device), self.labels.to(device))


def toy_batches(
    *, size: int = BATCH_SIZE, seed: int = 0, processes: Processes = ALONE, end: int = 10_000
) -> Batches[ToyBatch]:
    """Batches as a function of their number, of which each process gets its share."""
    local = size // processes.world
    rows = slice(processes.rank * local, (processes.rank + 1) * local)

    def batches(start: int) -> Iterator[ToyBatch]:
        for number in range(start, end):
            generator = torch.Generator().manual_seed(seed * 100_003 + number)
            inputs = torch.randn(size, INPUTS, generator=generator)
            yield ToyBatch(inputs[rows], inputs[rows, :CLASSES].argmax(dim=1))

    return batches


class Toy(nn.Module):
    """Classifies which input is the largest, and tells its batch's items apart."""

    def __init__(
        self,
        *,
        dropout: float = 0.0,
        lr: float = 0.01,
        processes: Processes = ALONE,
        contrast: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(INPUTS, HIDDEN)
        self.drop = nn.Dropout(dropout)
        self.second = nn.Linear(HIDDEN, CLASSES)
        self.sometimes = nn.Linear(CLASSES, 1)  # used every second step
        self.teacher = nn.Linear(INPUTS, HIDDEN).requires_grad_(False)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.lr, self.processes, self.contrast = lr, processes, contrast
        self.at_step: Callable[[int], None] = lambda step: None  # tests put faults here
        self.blemish = 0.0  # a fault, added to the loss without gradient
        self.losses: list[Tensor] = []  # of the global batch, one a call

    def forward(self, batch: ToyBatch, step: int) -> StepResult:
        hidden = self.first(batch.inputs).relu()
        logits = self.second(self.drop(hidden))
        loss = F.cross_entropy(logits, batch.labels)
        loss = loss + 0.1 * (hidden - self.teacher(batch.inputs)).square().mean()
        if step % 2 == 0:
            loss = loss + 0.1 * self.sometimes(logits).square().mean()
        loss = loss + self.blemish
        if self.contrast:
            loss = loss + self._contrast(hidden)
        self.seen += len(batch.labels) * self.processes.world
        self.losses.append(self.processes.all_sum(loss) / self.processes.world)
        accuracy = (logits.argmax(dim=1) == batch.labels).float().mean()
        return StepResult(loss, {"toy": loss.detach(), "toy_accuracy": accuracy})

    def _contrast(self, hidden: Tensor) -> Tensor:
        bank = self.processes.gather_with_gradient(hidden)
        own = torch.arange(len(hidden)) + self.processes.rank * len(hidden)
        return F.cross_entropy(hidden @ bank.T, own)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        self.at_step(step)
        for mine, learned in zip(self.teacher.parameters(), self.first.parameters(), strict=True):
            mine.lerp_(learned, 0.1)

    def after_step(self) -> None:
        self.second.bias.data.clamp_(-1, 1)

    def blind(self, batch: ToyBatch, step: int) -> Mapping[str, float]:
        assert not self.training
        assert not torch.is_grad_enabled()
        dark = replace(batch, inputs=torch.zeros_like(batch.inputs))
        logits = self.second(self.first(dark.inputs).relu())
        return {"toy_blind": float(F.cross_entropy(logits, dark.labels))}

    def evaluate(self) -> Mapping[str, float]:
        assert not self.training
        assert not torch.is_grad_enabled()
        torch.rand(3)  # an evaluation may draw; training must not notice
        batch = next(toy_batches(size=32, seed=9)(0))
        logits = self.second(self.first(batch.inputs).relu())
        return {"accuracy": float((logits.argmax(dim=1) == batch.labels).float().mean())}

    def parameter_groups(self) -> list[Group]:
        named = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        return [Group("all", named, self.lr)]

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        return {"toy.txt": write_toy}


def write_toy(path: Path) -> None:
    path.write_text("toy", encoding="utf-8")


def run_toy(
    path: Path,
    *,
    task: Toy | None = None,
    optim: OptimConfig = OPTIM,
    settings: TrainConfig = SETTINGS,
    processes: Processes = ALONE,
    fresh: bool = False,
    **reporting: Any,
) -> Outcome:
    """Train a toy in the run directory `path`, from where it stands."""
    task = Toy(dropout=0.1) if task is None else task
    with open_run(path, config={"task": "toy"}, processes=processes, fresh=fresh) as run:
        return train(
            task,
            toy_batches(size=optim.batch_size // optim.accumulate, processes=processes),
            optim=optim,
            settings=settings,
            run=run,
            processes=processes,
            **reporting,
        )


def fingerprint(path: Path, *, step: int = STEPS) -> str:
    """A hash of everything saved at `step` but the time it took."""
    folder = RunDirectory(path).checkpoints(keep=1).folder_of(step)
    digest = hashlib.sha256()
    for name in ("task.safetensors", "optimizer.safetensors"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
