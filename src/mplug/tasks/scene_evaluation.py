"""A fine-tuned model on what galleries of scenes ask: answers, boxes, pairs, entailment.

Every figure has a 95% interval over pictures and stands beside what is had without seeing: the
commonest answer, box or label of training, and the same model given a grey picture.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from mplug.config.schema import GenerationConfig, ScenesConfig
from mplug.data.items import ENTAILMENT, TRUTH
from mplug.data.scenes.stream import SceneExamples
from mplug.tasks.asked import Asked, Posed
from mplug.tasks.asker import Asker
from mplug.tasks.evaluate_answers import answer_figures, blind_answers
from mplug.tasks.evaluate_boxes import blind_boxes, box_figures
from mplug.tasks.evaluate_classes import blind_labels, class_figures
from mplug.tasks.evaluation import BLANK, GALLERY_SEED, Phases, SplitName, artists_of, silent
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer
from mplug.tasks.scene_galleries import TaskGalleries

TASKS = ("answer", "ground", "compare", "entail")
CLASSES = {"compare": TRUTH, "entail": ENTAILMENT}


@dataclass(frozen=True)
class TaskEvaluation:
    """A task's figures on one split, and what the model said to each ask.

    The first of `figures` is what the task is judged by; `extras` are those of single kinds.
    """

    asked: Asked
    figures: tuple[Figure, ...]
    extras: tuple[Figure, ...]
    said: tuple[Any, ...] = field(repr=False)  # an answer, a label, or a box in shares of the sides
    blind: tuple[Any, ...] = field(repr=False)  # the same of grey pictures


def held_out_asks(
    config: ScenesConfig,
    *,
    split: SplitName,
    image_size: int,
    count: int,
    tasks: Iterable[str] = TASKS,
    objects: Sequence[int] = (),
) -> list[Asked]:
    """What each of `tasks` asks of about `count` scenes of combinations that training lacks.

    Scenes hold the numbers of objects in `objects`, or else those of training. Every split has
    the same sets of objects, so that the artists differ.

    Raises:
        ConfigError: the world holds out too few combinations.
    """
    examples = SceneExamples(config, image_size=image_size)
    numbers = tuple(objects) or tuple(range(config.min_objects, config.max_objects + 1))
    random = np.random.default_rng([config.seed, GALLERY_SEED, count])
    galleries = TaskGalleries(
        config,
        split=split,
        artists=artists_of(config, split),
        image_size=image_size,
        sets=examples.different_sets(count, numbers, random),
    )
    return [galleries.asked(task) for task in tasks]


def evaluate_tasks(
    observer: Observer,
    asked: Collection[Asked],
    *,
    learned: Mapping[str, Sequence[Posed]],
    generation: GenerationConfig,
    progress: Phases = silent,
) -> list[TaskEvaluation]:
    """Measure a model on what is asked, one after another; `learned` are asks of training."""
    asker = Asker(observer, generation)
    return [
        evaluate_task(asker, each, learned=learned[each.task], progress=progress) for each in asked
    ]


def evaluate_task(
    asker: Asker, asked: Asked, *, learned: Sequence[Posed], progress: Phases = silent
) -> TaskEvaluation:
    """Ask everything of the pictures, and the same of a grey one; then score both."""
    say: dict[str, Callable[..., Any]] = {
        "answer": asker.answers,
        "ground": asker.boxes,
        "compare": asker.truths,
        "entail": asker.labels,
    }
    images = asker.observer.images(asked.pixels, progress=partial(progress, "looking at pictures"))
    asks = [each.ask for each in asked.posed]
    said = say[asked.task](images, asks, progress=partial(progress, f"asking: {asked.task}"))
    blind = asker.blind(say[asked.task], asks)
    figures = [*_figures(asked, said, blind, learned, beams=asker.generation.beams)]
    main = 2 if asked.task == "ground" else 1
    return TaskEvaluation(
        asked, tuple(figures[:main]), tuple(figures[main:]), tuple(said), tuple(blind)
    )


def _figures(
    asked: Asked, said: Any, blind: Any, learned: Sequence[Posed], *, beams: int
) -> Iterable[Figure]:
    posed, split = asked.posed, asked.split
    if asked.task == "answer":
        others = {**blind_answers(posed, learned), BLANK: blind}
        settings = {"beams": str(beams)}
        return answer_figures(said, posed, others=others, split=split, settings=settings)
    if asked.task == "ground":
        boxes = {**blind_boxes(posed, learned), BLANK: np.array(blind)}
        return box_figures(said, posed, others=boxes, split=split)
    return class_figures(
        said,
        posed,
        task=asked.task,
        classes=len(CLASSES[asked.task]),
        others={**blind_labels(posed, learned), BLANK: blind},
        split=split,
    )
