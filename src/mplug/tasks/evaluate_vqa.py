"""Answers to questions that several people answered: VQA accuracy, over all and by kind."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mplug.metrics.signature import accuracy_signature, vqa_signature
from mplug.metrics.vqa import Question, answer_accuracy, exact_accuracy
from mplug.tasks.evaluate_answers import by_picture, slug
from mplug.tasks.figures import Figure, Floats, figure_of

Said = Sequence[str]


def question_figures(
    predicted: Said,
    people: Sequence[Sequence[str]],
    *,
    pictures: np.ndarray,
    kinds: Mapping[str, Sequence[str]],
    others: Mapping[str, Said],
    split: str,
    settings: dict[str, str],
) -> Iterator[Figure]:
    """Accuracy over all questions, then by each of `kinds`: lists of one kind a question.

    Where several people answered, VQA accuracy (a fraction); where one answer is right, exact
    match. `others` are answers to the same questions by name, of what does not see.
    """
    crowded = any(len(answers) > 1 for answers in people)
    mine = _scores(predicted, people, crowded=crowded)
    theirs = {name: _scores(said, people, crowded=crowded) for name, said in others.items()}
    metric = "vqa_accuracy" if crowded else "answer_accuracy"
    sizes = np.array([len(answers) for answers in people])

    def figure(name: str, rows: np.ndarray, kind: dict[str, str]) -> Figure:
        questions = int(rows.sum())
        if crowded:
            signature = vqa_signature(
                split=split, questions=questions, answers=int(sizes[rows].sum()), kind=kind
            )
        else:
            signature = accuracy_signature(
                metric, split=split, counts={"questions": questions}, settings=kind
            )
        return figure_of(
            "answering",
            signature,
            by_picture(mine[rows], pictures[rows]),
            baselines={each: float(scores[rows].mean()) for each, scores in theirs.items()},
            settings=settings,
            metric=name,
        )

    yield figure(metric, np.ones(len(people), dtype=bool), {})
    for what, listed in kinds.items():
        named = np.array(listed)
        for kind in sorted(set(listed) - {""}):
            yield figure(f"{metric}_{what}_{slug(kind)}", named == kind, {what: slug(kind)})


def _scores(said: Said, people: Sequence[Sequence[str]], *, crowded: bool) -> Floats:
    if not crowded:
        return exact_accuracy(said, [answers[0] for answers in people]).per_item
    pairs = zip(people, said, strict=True)
    return np.array([answer_accuracy(Question(answers, answer)) for answers, answer in pairs])
