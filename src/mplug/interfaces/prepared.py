"""What a system makes of a run's configuration, for `interfaces/training.py` to train."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mplug.config.schema import DataConfig
from mplug.config.schema_uniter_run import RegionData
from mplug.config.systems import AnyRun
from mplug.data.batch import Examples
from mplug.training.loop import Outcome
from mplug.training.task import Batches, Task

ExampleType = TypeVar("ExampleType", covariant=True)


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to begin, or to go on.

    `finish` is called once, in the main process, when the training is over: it says what was
    learned, and leaves the model where `mplug.load` finds it.
    """

    task: Task[Any]
    batches: Batches[Any]
    finish: Callable[[Outcome], None]


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
