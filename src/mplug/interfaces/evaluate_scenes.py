"""A run that learned from scenes, measured on held-out ones: everything that it can do."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mplug.config.load import load_run
from mplug.config.schema import RunConfig, ScenesConfig
from mplug.config.schema_uniter_run import UniterRun
from mplug.errors import CheckpointError, ConfigError
from mplug.interfaces.api import Model, load
from mplug.interfaces.locate import run_config
from mplug.interfaces.measure import measure, measure_tasks, score_of
from mplug.interfaces.report.content import Score
from mplug.metrics import bootstrap
from mplug.tasks.evaluation import Figure, Gallery, SplitName
from mplug.tasks.scene_evaluation import TASKS

TOGETHER = ("retrieval", "caption")  # measured on one gallery, in one go


@dataclass(frozen=True)
class Galleries:
    """Which held-out scenes a run is measured on, and what it is compared with."""

    splits: Sequence[SplitName]
    scenes: int  # of each gallery
    objects: Sequence[int]  # in a scene; none: two to search and describe, else as in training
    rerank: int
    remembered: int  # training scenes that the baselines know


def evaluate_scenes(
    run: Path,
    *,
    galleries: Galleries,
    tasks: Sequence[str],
    device: str,
    precision: str = "float32",
) -> list[Score]:
    """Every figure of `tasks`, or of all tasks that the model has learned, split by split.

    Raises:
        ConfigError: the run knows no scenes, or the scenes cannot be made.
        CheckpointError: the model cannot do one of `tasks`.
    """
    world = _world(_config(run), run)
    found = _figures(
        run, world, galleries=galleries, tasks=tasks, device=device, precision=precision
    )
    return [score_of(figure, split=split) for split, figure in found]


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same scenes, and the 95% interval of its difference."""

    task: str
    split: str
    metric: str
    value: float
    other: float
    low: float  # of value - other
    high: float
    n: int


def compare_on_scenes(
    run: Path,
    other: Path,
    *,
    galleries: Galleries,
    tasks: Sequence[str],
    device: str,
    precision: str = "float32",
) -> list[Difference]:
    """Every figure of `run` beside that of `other`, both asked the same of the same scenes.

    Figures of what a model chose to say (relations) are left out: they are of different captions.

    Raises:
        ConfigError: a run knows no scenes, the two know different ones, or they cannot be made.
        CheckpointError: one of the models cannot do one of `tasks`.
    """
    world = _world(_config(run), run)
    if _world(_config(other), other) != world:
        raise ConfigError(f"{run} and {other} know different scenes: data.scenes is not the same")
    measured = partial(
        _figures, galleries=galleries, tasks=tasks, device=device, precision=precision
    )
    mine = measured(run, world)
    theirs = {
        (split, figure.task, figure.metric): figure for split, figure in measured(other, world)
    }
    found = []
    for split, figure in mine:
        before = theirs.get((split, figure.task, figure.metric))
        if before is None or before.parts.shape != figure.parts.shape:
            continue
        bounds = bootstrap.difference(figure.parts, before.parts, statistic=figure.statistic)
        values = (figure.value, before.value, bounds.low, bounds.high)
        found.append(Difference(figure.task, split, figure.metric, *values, figure.n))
    return found


def _figures(
    run: Path,
    world: ScenesConfig,
    *,
    galleries: Galleries,
    tasks: Sequence[str],
    device: str,
    precision: str,
) -> list[tuple[str, Figure]]:
    """Split by split."""
    config = _config(run)
    if isinstance(config, UniterRun):
        from mplug.interfaces.evaluate_uniter import Extent, uniter_figures

        extent = Extent(galleries.splits, galleries.scenes, galleries.remembered, galleries.objects)
        found = uniter_figures(
            run, config, extent=extent, tasks=tasks, device=device, precision=precision
        )
        return [*found]
    model = load(run, device=device, precision=precision)
    chosen = _chosen(model, tasks)
    both = [
        *_together(model, config, world, galleries=galleries, tasks=chosen, device=device),
        *_asked(model, config, world, galleries=galleries, tasks=chosen, device=device),
    ]
    return [each for split in galleries.splits for each in both if each[0] == split]


def _config(run: Path) -> RunConfig | UniterRun:
    file = run_config(run)
    if file is None:
        raise ConfigError(f"{run} has no config.json, so it is no run: name the folder of a run")
    config = load_run(file)
    if isinstance(config, RunConfig | UniterRun):
        return config
    raise ConfigError(f"{run}: runs of the system {config.system!r} have no galleries of scenes")


def _world(config: RunConfig | UniterRun, run: Path) -> ScenesConfig:
    if config.data.scenes is None:
        raise ConfigError(
            f"{run / 'config.json'}: data.scenes is null: only runs on scenes have galleries; "
            "for records, name a task and a file: mplug evaluate RUN answer data=FILE"
        )
    return config.data.scenes


def _chosen(model: Model, tasks: Sequence[str]) -> list[str]:
    able = [*TOGETHER, *(task for task in TASKS if task in model.config.skills)]
    lacking = [task for task in tasks if task not in able]
    if lacking:
        raise CheckpointError(
            f"this model was not trained for {lacking[0]!r}; it can be measured on "
            f"{', '.join(able)}"
        )
    return list(tasks) or able


def _together(
    model: Model,
    config: RunConfig,
    world: ScenesConfig,
    *,
    galleries: Galleries,
    tasks: Iterable[str],
    device: str,
) -> Iterator[tuple[str, Figure]]:
    """Retrieval and captions, with what is beside them: relations, matching."""
    if not set(TOGETHER) & set(tasks):
        return
    shown = [
        Gallery.held_out(
            world,
            split=split,
            image_size=config.model.vision.image_size,
            count=galleries.scenes,
            objects=galleries.objects or (2,),
        )
        for split in galleries.splits
    ]
    evaluations = measure(
        model,
        shown,
        world=world,
        remembered=galleries.remembered,
        seed=config.train.seed,
        device=device,
        rerank=galleries.rerank,
    )
    for gallery, evaluation in zip(shown, evaluations, strict=True):
        for figure in (*evaluation.figures, *evaluation.extras):
            yield gallery.split, figure


def _asked(
    model: Model,
    config: RunConfig,
    world: ScenesConfig,
    *,
    galleries: Galleries,
    tasks: Iterable[str],
    device: str,
) -> Iterator[tuple[str, Figure]]:
    """Answers, boxes and classes."""
    asked = [task for task in TASKS if task in tasks]
    if not asked:
        return
    for evaluation in measure_tasks(
        model,
        world=world,
        splits=galleries.splits,
        tasks=asked,
        count=galleries.scenes,
        objects=galleries.objects,
        remembered=galleries.remembered,
        image_size=config.model.vision.image_size,
        device=device,
    ):
        for figure in (*evaluation.figures, *evaluation.extras):
            yield evaluation.asked.split, figure
