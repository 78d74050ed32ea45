"""Where a model fails worst: the wrong answers it is surest of, the boxes that are furthest off."""

from typing import NamedTuple

import numpy as np

from mplug.data.items import ENTAILMENT, TRUTH
from mplug.metrics.grounding import THRESHOLD, iou
from mplug.tasks.asked import Ask
from mplug.tasks.asker import Asker, Floats
from mplug.tasks.scene_evaluation import TaskEvaluation


class Failure(NamedTuple):
    """An ask by its place among all, and how sure the model is of what it wrongly says (0 to 1)."""

    row: int
    sure: float | None = None  # of a box it is not said


def worst(asker: Asker, evaluation: TaskEvaluation, *, count: int) -> list[Failure]:
    """At most `count` failures, worst first."""
    if evaluation.asked.task == "ground":
        return _furthest_off(evaluation)[:count]
    posed = evaluation.asked.posed
    wrong = [
        row
        for row, (said, each) in enumerate(zip(evaluation.said, posed, strict=True))
        if said != each.right
    ]
    if not wrong:
        return []
    sure = _sureness(asker, evaluation, wrong)
    order = np.argsort(-sure, kind="stable")[:count]
    return [Failure(wrong[place], float(sure[place])) for place in order]


def overlaps(evaluation: TaskEvaluation) -> Floats:
    """How much each found box shares with the true one it meets best [asks]."""
    return np.array(
        [
            iou([found], np.array(each.boxes)).max()
            for found, each in zip(evaluation.said, evaluation.asked.posed, strict=True)
        ]
    )


def _furthest_off(evaluation: TaskEvaluation) -> list[Failure]:
    """By overlap; of those that share nothing, by how far their middles are apart."""
    shared = overlaps(evaluation)
    apart = np.array(
        [
            min(np.linalg.norm(_middle(found) - _middle(np.array(box))) for box in each.boxes)
            for found, each in zip(evaluation.said, evaluation.asked.posed, strict=True)
        ]
    )
    order = np.lexsort((-apart, shared))
    return [Failure(int(row)) for row in order if shared[row] < THRESHOLD]


def _middle(box: Floats) -> Floats:
    return (box[:2] + box[2:]) / 2


def _sureness(asker: Asker, evaluation: TaskEvaluation, rows: list[int]) -> Floats:
    """How likely the model finds what it says to the asks of `rows`."""
    asked, said = evaluation.asked, [evaluation.said[row] for row in rows]
    asks = [asked.posed[row].ask for row in rows]
    shown = sorted({picture for ask in asks for picture in ask.pictures})
    images = asker.observer.images(asked.pixels[shown])
    moved = [
        Ask(tuple(shown.index(picture) for picture in ask.pictures), ask.text, ask.further)
        for ask in asks
    ]
    judging = {
        "compare": (TRUTH, asker.truth_shares),
        "entail": (ENTAILMENT, asker.label_shares),
    }
    if asked.task not in judging:
        return asker.answer_shares(images, moved, answers=said)
    classes, say = judging[asked.task]
    places = [classes.index(each) for each in said]
    return say(images, moved)[np.arange(len(rows)), places]
