"""What a system makes of a run's configuration, for `interfaces/training.py` to train."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mplug.config.schema import DataConfig
from mplug.config.schema_uniter_run import RegionData
from mplug.config.systems import AnyRun
from mplug.data.batch import Examples
from mplug.data.loader import Loader
from mplug.data.tokenizer import FILE_NAME
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.training.task import Batches, Task
from mplug.weights.folder import Words

ExampleType = TypeVar("ExampleType", covariant=True)
Saved = TypeVar("Saved", bound=Words)


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to begin, or to go on.

    `finish` is called once, in the main process, when the training is over: it says what was
    learned, and leaves the model where `mplug.load` finds it.
    """

    task: Task[Any]
    batches: Batches[Any]
    finish: Callable[[Outcome], None]


def batches_left(config: AnyRun, loader: Loader[Any]) -> Batches[Any]:
    """From how many batches a run has used to those that are left of it."""
    needed = config.optim.steps * config.optim.accumulate
    return lambda done: loader.batches(start_step=done, steps=needed - done)


def kept_words(
    run: RunDirectory,
    *,
    processes: Processes,
    make: Callable[[], Saved],
    read: Callable[[Path], Saved],
) -> Saved:
    """The words a run began with; of a new run those that `make` gives, kept in its folder."""
    file = run.path / FILE_NAME
    processes.on_main(lambda: None if file.exists() else make().save(run.path))
    return read(file)


@dataclass(frozen=True)
class FirstOnly(Generic[ExampleType]):
    """The first `count` examples, over and over."""

    examples: Examples[ExampleType]
    count: int

    def __len__(self) -> int:
        """As many as are repeated."""
        return self.count

    def example(self, position: int, *, seed: int) -> ExampleType:
        """The example at `position`, counted round and round."""
        return self.examples.example(position % self.count, seed=seed)


def verdicts(evaluation: Mapping[str, float], *, otherwise: Mapping[str, str]) -> list[str]:
    """A line for each objective: its validation loss, its blind value, and what that means.

    `otherwise` holds, for each objective there is, the words for one that was not learned.
    """
    lines = []
    for name, unlearned in otherwise.items():
        if f"learned_{name}" not in evaluation:
            continue
        value = evaluation[f"validation_{name}"]
        blind = evaluation[f"validation_{name}_blind"]
        words = "learned" if evaluation[f"learned_{name}"] else unlearned
        lines.append(f"{name}: {words} (validation loss {value:.3f}, blind {blind:.3f})")
    return lines


def which_step(config: AnyRun, outcome: Outcome) -> str:
    """Which of a run's models this is, to go on with after its name; empty if it is the last."""
    if outcome.chosen is None:
        return ""
    figure = config.train.choose
    return f", as it was after step {outcome.chosen} of {outcome.step}, its best by {figure}"


def describe_data(data: DataConfig | RegionData) -> str:
    """What a run learned from, for its model's card."""
    scenes = data.scenes
    if scenes is None:
        return f"Records of `{Path(data.train or '').name}`."
    return (
        f"Composed scenes of {scenes.min_objects} to {scenes.max_objects} of {scenes.concepts} "
        f"drawn concepts by {', '.join(scenes.artists)}: pictures by people, scenes and captions "
        "by a program."
    )
