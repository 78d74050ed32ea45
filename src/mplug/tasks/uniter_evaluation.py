"""A UNITER model on held-out scenes: answers, pairs, hypotheses, regions, and search.

Every figure has a 95% interval over scenes and stands beside what is had without seeing. What a
model says that is shown where things are, and not what they are, is a figure of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mplug.data.regions.scene_bank import Describe, describe_scenes, region_boxes
from mplug.data.regions.stored import Regions
from mplug.data.scenes.scene import Scene
from mplug.metrics.baselines import chance_recall
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.classification import accuracy
from mplug.metrics.retrieval import ground_truth, hits
from mplug.metrics.signature import accuracy_signature, retrieval_signature
from mplug.tasks.asked import Asked, Posed
from mplug.tasks.evaluate_answers import answer_figures, blind_answers, by_picture
from mplug.tasks.evaluate_classes import blind_labels, class_figures
from mplug.tasks.evaluation import BLANK, WAYS, Gallery
from mplug.tasks.figures import Figure, figure_of
from mplug.tasks.scene_evaluation import CLASSES
from mplug.tasks.uniter_asker import UniterAsker, boxes_alone, without_sight
from mplug.tasks.untrained import Untrained

ALONE = "_boxes_alone"  # behind a figure's name: of a model that sees where, and not what


class Said(NamedTuple):
    """What a model says that sees, that sees nothing, and that sees boxes alone."""

    seeing: list[Any]
    blind: list[Any]
    boxes: list[Any]


def regions_of(scenes: Sequence[Scene], describe: Describe) -> list[Regions]:
    """Scenes as regions with exact boxes."""
    return [
        Regions(features, region_boxes(scene), np.ones(len(features), dtype=np.float32))
        for scene, features in zip(scenes, describe_scenes(scenes, describe), strict=True)
    ]


def task_figures(
    asker: UniterAsker, asked: Asked, *, describe: Describe, learned: Sequence[Posed]
) -> list[Figure]:
    """What one task's asks come to; the first figure is what the task is judged by."""
    pictures = regions_of(asked.scenes, describe)
    asks = [each.ask for each in asked.posed]
    say: dict[str, Callable[..., list[Any]]] = {
        "answer": asker.answers,
        "compare": asker.truths,
        "entail": asker.labels,
        "ground": asker.regions,
    }
    said = Said(
        say[asked.task](pictures, asks),
        say[asked.task](pictures, asks, shown=without_sight),
        say[asked.task](pictures, asks, shown=boxes_alone),
    )
    return [*_figures(asked, said, pictures, learned)]


def _figures(
    asked: Asked, said: Said, pictures: Sequence[Regions], learned: Sequence[Posed]
) -> Iterator[Figure]:
    posed, split = asked.posed, asked.split
    if asked.task == "ground":
        yield from _region_figures(said, posed, pictures, split=split)
        return
    right = [each.right for each in posed]
    if asked.task == "answer":
        others: dict[str, Sequence[str]] = {**blind_answers(posed, learned), BLANK: said.blind}
        yield from answer_figures(said.seeing, posed, others=others, split=split, settings={})
        name = "answer_accuracy"
    else:
        yield from class_figures(
            said.seeing,
            posed,
            task=asked.task,
            classes=len(CLASSES[asked.task]),
            others={**blind_labels(posed, learned), BLANK: said.blind},
            split=split,
        )
        name = f"{asked.task}_accuracy"
    yield _share(asked.task, name + ALONE, accuracy(said.boxes, right).per_item, posed, split=split)


def _region_figures(
    said: Said, posed: Sequence[Posed], pictures: Sequence[Regions], *, split: str
) -> Iterator[Figure]:
    """How often the region is chosen that the phrase means."""
    shown = [pictures[each.ask.pictures[0]] for each in posed]
    right = [_place(each, regions) for each, regions in zip(posed, shown, strict=True)]

    def share(chosen: Sequence[int]) -> np.ndarray:
        return np.array(chosen) == np.array(right)

    largest = [int(_areas(regions).argmax()) for regions in shown]
    baselines = {
        "chance": float(np.mean([1 / len(regions) for regions in shown])),
        "largest_region": float(share(largest).mean()),
        BLANK: float(share(said.blind).mean()),
    }
    yield _share("ground", "region_accuracy", share(said.seeing), posed, split=split, **baselines)
    yield _share("ground", "region_accuracy" + ALONE, share(said.boxes), posed, split=split)


def _place(posed: Posed, regions: Regions) -> int:
    """Which region a phrase's box is; it is one of them exactly."""
    distance = np.abs(regions.boxes - np.array(posed.boxes[0], dtype=np.float32)).sum(axis=1)
    return int(distance.argmin())


def _areas(regions: Regions) -> np.ndarray:
    return np.prod(regions.boxes[:, 2:] - regions.boxes[:, :2], axis=1)


def _share(
    task: str,
    metric: str,
    right: np.ndarray,
    posed: Sequence[Posed],
    *,
    split: str,
    **baselines: float,
) -> Figure:
    pictures = np.array([each.ask.pictures[0] for each in posed])
    counts = {"asked": len(posed), "pictures": len(set(pictures.tolist()))}
    return figure_of(
        {"ground": "grounding", "answer": "answering"}.get(task, task),
        accuracy_signature(metric, split=split, counts=counts),
        by_picture(np.asarray(right, dtype=np.float64), pictures),
        baselines=baselines,
    )


def search_figures(
    asker: UniterAsker,
    gallery: Gallery,
    *,
    describe: Describe,
    untrained: Untrained,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Figure]:
    """Recall of a gallery where every picture is ranked with every caption."""
    pictures = regions_of([each.scene for each in gallery.scenes], describe)
    ranks = asker.ranks(pictures, gallery.captions, progress=progress)
    known = untrained.captions_for(gallery.scenes)["pixel_nearest_neighbour"]
    near = untrained.similarity(known, gallery.scenes)
    tables: Mapping[str, np.ndarray] = {"pixel_nearest_neighbour": near}
    return [_recall(gallery, ranks, tables, way, k=k) for k in (1, 5) for way in WAYS]


def _recall(
    gallery: Gallery, ranks: np.ndarray, others: Mapping[str, np.ndarray], way: str, *, k: int
) -> Figure:
    count = len(ranks)
    right = ground_truth(np.arange(count), images=count)

    def found(table: np.ndarray) -> np.ndarray:
        return hits(table if way == "image_to_text" else table.T, right, k=k)

    metric = f"recall_at_{k}_{way}"
    return figure_of(
        "retrieval",
        retrieval_signature(metric, split=gallery.split, images=count, texts=count),
        mean_parts(found(ranks)),
        baselines={
            "chance": chance_recall(gallery=count, k=k),
            **{name: float(found(table).mean()) for name, table in others.items()},
        },
    )
