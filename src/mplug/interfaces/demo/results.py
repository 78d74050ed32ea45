"""What a demo measured, as scores for the table, the report and summary.json."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mplug.interfaces.measure import score_of
from mplug.interfaces.report.content import Score
from mplug.tasks.evaluation import Evaluation, Gallery
from mplug.tasks.failures import Failure
from mplug.tasks.figures import Figure
from mplug.tasks.scene_clips import TASK as CLIPS
from mplug.tasks.scene_evaluation import TaskEvaluation


@dataclass(frozen=True)
class Results:
    """What was measured on each gallery, and where each of `asked` went worst."""

    galleries: tuple[Gallery, ...]
    evaluations: tuple[Evaluation, ...]
    asked: tuple[TaskEvaluation, ...]
    worst: tuple[tuple[Failure, ...], ...]

    @property
    def scores(self) -> tuple[Score, ...]:
        """What the model is judged by, for summary.json: also its answers of each kind."""
        return tuple(self._scores(answers_by_kind=True))

    @property
    def judged(self) -> tuple[Score, ...]:
        """The same without the kinds of answers, for the table."""
        return tuple(self._scores(answers_by_kind=False))

    @property
    def extras(self) -> tuple[Score, ...]:
        """What it understands beyond that, whether or not it is above chance."""
        return tuple(
            score
            for gallery, evaluation in zip(self.galleries, self.evaluations, strict=True)
            for figures in (
                evaluation.extras,
                *(each.figures for each in self._asked(gallery.split, clips=True)),
            )
            for score in _scored(figures, split=gallery.split)
        )

    def kinds(self, task: str) -> tuple[Score, ...]:
        """A task's scores for each kind of what it asks, on every split."""
        return tuple(
            score
            for each in self.asked
            if each.asked.task == task
            for score in _scored(each.extras, split=each.asked.split)
        )

    def of(self, metric: str) -> list[float]:
        """One metric's value on each split."""
        return [score.value for score in self.scores if score.metric == metric]

    def _scores(self, *, answers_by_kind: bool) -> Iterator[Score]:
        for gallery, evaluation in zip(self.galleries, self.evaluations, strict=True):
            yield from _scored(evaluation.figures, split=gallery.split)
            for each in self._asked(gallery.split, clips=False):
                yield from _scored(each.figures, split=gallery.split)
                if answers_by_kind and each.asked.task == "answer":
                    yield from _scored(each.extras, split=gallery.split)

    def _asked(self, split: str, *, clips: bool) -> list[TaskEvaluation]:
        return [
            each
            for each in self.asked
            if each.asked.split == split and (each.asked.task == CLIPS) == clips
        ]


def _scored(figures: Iterable[Figure], *, split: str) -> Iterator[Score]:
    return (score_of(figure, split=split) for figure in figures)
