"""Everything a resumed run needs, saved and restored as one object: safetensors and JSON only.

No generator state is among it: `randomness.seed_all` makes randomness a function of the step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mplug.errors import CheckpointError
from mplug.training.checkpoints import Checkpoint, Writer
from mplug.training.task import Task

TASK, OPTIMIZER, PROGRESS = "task.safetensors", "optimizer.safetensors", "progress.json"
MODEL_FILE = "model.json"  # what a task says of its model, for whoever loads an unfinished run


@dataclass
class Progress:
    """Where a run stands: plain numbers only."""

    step: int = 0
    seconds: float = 0.0
    window: dict[str, list[float]] = field(default_factory=dict)  # logged since the last log line
    blind: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, float] = field(default_factory=dict)
    evaluated_at: int = -1
    best_by: str = ""  # the figure that `best` is the best by
    best_step: int = -1
    best: dict[str, float] = field(default_factory=dict)  # the evaluation after that step


@dataclass
class TrainingState:
    """The task with its buffers, the optimiser's averages, and the progress."""

    task: Task[Any]
    optimizer: torch.optim.AdamW
    progress: Progress

    def writers(self) -> dict[str, Writer]:
        """What to write into a checkpoint: file names and what writes each."""
        return {
            TASK: lambda path: _save_tensors(self.task.state_dict(), path),
            OPTIMIZER: lambda path: _save_tensors(_optimizer_tensors(self.optimizer), path),
            PROGRESS: lambda path: _save_json(asdict(self.progress), path),
            **self.task.files(),
        }

    def expected_bytes(self) -> int:
        """The size of the tensors that a checkpoint holds."""
        tensors = [*self.task.state_dict().values(), *_optimizer_tensors(self.optimizer).values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what was saved, in place.

        Raises:
            CheckpointError: a tensor is missing, unexpected or of another shape.
        """
        self.restore_task(checkpoint.folder)
        _restore_optimizer(self.optimizer, checkpoint.folder / OPTIMIZER)
        saved = json.loads((checkpoint.folder / PROGRESS).read_text(encoding="utf-8"))
        for name, value in saved.items():
            setattr(self.progress, name, value)

    def restore_task(self, folder: Path) -> None:
        """Let the task alone become what was saved in a checkpoint's folder.

        Raises:
            CheckpointError: a tensor is missing, unexpected or of another shape.
        """
        self.task.load_state_dict(load_tensors(folder / TASK, like=self.task.state_dict()))


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Tied tensors, which share memory, are written once each: the file knows no sharing."""
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        storage = tensor.untyped_storage().data_ptr()
        fresh = tensor.contiguous()
        plain[name] = fresh.clone() if storage in seen else fresh
        seen.add(storage)
    save_file(plain, path)


def _save_json(value: object, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def load_tensors(path: Path, *, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The tensors of a file; with `like`, exactly those names and shapes.

    Raises:
        CheckpointError: the file cannot be read, or a tensor is missing, unexpected or reshaped.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"could not read {path}: {error}") from error
    if like is None:
        return tensors
    missing, unexpected = sorted(like.keys() - tensors.keys()), sorted(tensors.keys() - like.keys())
    shapes = [
        f"{name}: {list(tensors[name].shape)} saved, {list(like[name].shape)} in the model"
        for name in like.keys() & tensors.keys()
        if tensors[name].shape != like[name].shape
    ]
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"{path} does not fit the model. Missing: {missing}; unexpected: {unexpected}; "
            f"other shapes: {shapes}"
        )
    return tensors


def _named(optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    }


def _optimizer_tensors(optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimiser's state as `<what>:<parameter>`."""
    return {
        f"{what}:{name}": value
        for name, parameter in _named(optimizer).items()
        for what, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_optimizer(optimizer: torch.optim.AdamW, path: Path) -> None:
    parameters = _named(optimizer)
    optimizer.state.clear()
    for key, value in load_tensors(path, like=None).items():
        what, _, name = key.partition(":")
        if name not in parameters:
            raise CheckpointError(f"{path} holds {key!r}, which the optimiser does not know")
        parameter = parameters[name]
        # A fused optimiser keeps its step counts beside the parameters, as the averages.
        optimizer.state[parameter][what] = value.to(parameter.device)
