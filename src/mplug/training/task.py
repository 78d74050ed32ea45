"""What the engine asks of a task: one loss for one batch, and a few words around it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Batch(Protocol):
    """Anything that can be moved to a device."""

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`."""
        ...


BatchType = TypeVar("BatchType", bound=Batch)
Accepted = TypeVar("Accepted", bound=Batch, contravariant=True)
Batches = Callable[[int], Iterator[BatchType]]
"""From the number of batches already used to the batches that follow, for this process.

An update takes `accumulate` batches, so each holds batch_size / accumulate / world examples.
"""


class StepResult(NamedTuple):
    """The loss to minimise and what to log.

    Both are such that their mean over the processes is the value of the global batch. A log whose
    key ends in `_blind` is what a model that ignores its input pays for the loss of that name.
    """

    loss: Tensor
    logs: dict[str, Tensor]


class Group(NamedTuple):
    """Named parameters that share a peak learning rate.

    `undecayed` names those that weight decay must spare although they are matrices: embeddings
    and positions. Vectors and scalars (biases, norms, a temperature) are always spared.
    """

    name: str
    parameters: Sequence[tuple[str, nn.Parameter]]
    lr: float
    undecayed: frozenset[str] = frozenset()


@runtime_checkable
class Task(Protocol[Accepted]):
    """An `nn.Module` with a loss; everything it holds, buffers included, is saved and resumed.

    One update is `before_step`, then `forward` and backward once per accumulated part, the
    optimiser, then `after_step`. With several processes all of these, and `blind` and `evaluate`,
    are called in each of them, so they may hold collectives.
    """

    def forward(self, batch: Accepted, step: int) -> StepResult:
        """The loss of `batch` at update `step`, counted from 0.

        Called once for each accumulated part with the same `step`: draws that depend on (seed,
        step) should also depend on the number of calls since `before_step`.
        """
        ...

    def before_step(self, step: int) -> None:
        """What happens once before an update, such as the teacher's average."""
        ...

    def after_step(self) -> None:
        """What happens once after an update, such as clamping the temperature."""
        ...

    def blind(self, batch: Accepted, step: int) -> Mapping[str, float]:
        """What `batch` costs without sight, keyed `<loss>_blind`; in eval mode, no gradient."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Validation figures; in eval mode, no gradient."""
        ...

    def parameter_groups(self) -> Sequence[Group]:
        """Every trainable parameter once, with its peak learning rate."""
        ...

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """Files to write into each checkpoint beside the state: name and what writes it."""
        ...

    # What the engine uses of nn.Module.

    def __call__(self, batch: Accepted, step: int) -> StepResult: ...

    def train(self, mode: bool = True) -> Any: ...

    def to(self, device: torch.device) -> Any: ...

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
