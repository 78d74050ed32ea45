"""A loaded model on galleries of held-out scenes, with progress on the screen."""

from collections.abc import Sequence
from functools import partial

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.stream import SceneExamples
from mplug.interfaces.api import Model
from mplug.interfaces.phases import Phases, phases
from mplug.interfaces.report.content import Score
from mplug.interfaces.report.wording import spelled
from mplug.tasks.asker import Asker
from mplug.tasks.evaluation import Evaluation, Figure, Gallery, SplitName, evaluate
from mplug.tasks.failures import Failure, worst
from mplug.tasks.observer import Observer
from mplug.tasks.scene_clips import asked_of_clips, evaluate_clips
from mplug.tasks.scene_evaluation import TASKS, TaskEvaluation, evaluate_tasks, held_out_asks
from mplug.tasks.scene_galleries import learned_asks
from mplug.tasks.untrained import Untrained
from mplug.training.distributed import choose_device

ASKED = 3000  # training scenes whose questions are enough to know what is asked most


def measure(
    model: Model,
    galleries: Sequence[Gallery],
    *,
    world: ScenesConfig,
    remembered: int,
    seed: int,
    device: str,
    rerank: int = 0,
) -> list[Evaluation]:
    """The model's figures on each gallery of `world`, beside those of what learns nothing.

    The neighbour by pixels knows `remembered` training scenes, drawn from `seed`; matching
    reranks the nearest `rerank` of each query.

    Raises:
        ConfigError: the device does not exist here.
    """
    observer = Observer(model.network, model.tokenizer, choose_device(device))
    scenes = SceneExamples(world, image_size=model.config.vision.image_size)
    with phases() as show:
        untrained = Untrained.remember(
            scenes,
            count=remembered,
            seed=seed,
            progress=lambda *counts: show("scenes to compare with, by pixels", *counts),
        )
        return [
            evaluate(
                observer,
                gallery,
                untrained=untrained,
                generation=model.generation,
                rerank=rerank,
                progress=partial(_show_split, show, gallery.split),
            )
            for gallery in galleries
        ]


def measure_tasks(
    model: Model,
    *,
    world: ScenesConfig,
    splits: Sequence[SplitName],
    count: int,
    remembered: int,
    image_size: int,
    device: str,
    tasks: Sequence[str] = TASKS,
    objects: Sequence[int] = (),
    clips: int = 0,
) -> list[TaskEvaluation]:
    """What the model says where each of `tasks` asks `count` scenes of each split of `world`.

    So many `clips` of each split are asked about too, where there are any. The baselines know what
    is asked of `remembered` training scenes (at most `ASKED`).

    Raises:
        ConfigError: the device does not exist here, or the world cannot give such scenes.
    """
    observer = Observer(model.network, model.tokenizer, choose_device(device))
    with phases() as show:
        learned = learned_asks(
            world,
            count=min(remembered, ASKED),
            progress=lambda *counts: show("what training asks, to compare with", *counts),
        )
        found: list[TaskEvaluation] = []
        for split in splits:
            asked = held_out_asks(
                world,
                split=split,
                image_size=image_size,
                count=count,
                tasks=tasks,
                objects=objects,
            )
            progress: Phases = partial(_show_split, show, split)
            found += evaluate_tasks(
                observer,
                asked,
                learned=learned,
                generation=model.generation,
                progress=progress,
            )
            if clips:
                watched = asked_of_clips(world, split=split, image_size=image_size, count=clips)
                asker = Asker(observer, model.generation)
                found.append(
                    evaluate_clips(asker, watched, learned=learned["answer"], progress=progress)
                )
    return found


def worst_asks(
    model: Model, evaluations: Sequence[TaskEvaluation], *, count: int, device: str
) -> list[list[Failure]]:
    """Of each evaluation the `count` worst failures, worst first.

    Raises:
        ConfigError: the device does not exist here.
    """
    observer = Observer(model.network, model.tokenizer, choose_device(device))
    asker = Asker(observer, model.generation)
    return [worst(asker, evaluation, count=count) for evaluation in evaluations]


def score_of(figure: Figure, *, split: str) -> Score:
    """A figure as reports and summaries hold it."""
    return Score(
        split=split,
        task=figure.task,
        metric=figure.metric,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n=figure.n,
        baselines=figure.baselines,
        signature=figure.signature,
    )


def _show_split(show: Phases, split: str, phase: str, done: int, total: int) -> None:
    show(f"{spelled(split)}: {phase}", done, total)
