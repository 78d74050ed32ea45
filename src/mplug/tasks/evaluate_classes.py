"""Labels of statements and hypotheses: right or wrong, over all and for each kind."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mplug.metrics.baselines import AnswersByQuestion, most_frequent
from mplug.metrics.classification import accuracy
from mplug.metrics.signature import accuracy_signature
from mplug.tasks.asked import Posed
from mplug.tasks.evaluate_answers import by_picture, slug
from mplug.tasks.figures import Figure, figure_of

NAMES = {"compare": "comparing", "entail": "entailment"}  # as figures call these tasks


def class_figures(
    predicted: Sequence[str],
    posed: Sequence[Posed],
    *,
    task: str,
    classes: int,
    others: Mapping[str, Sequence[str]],
    split: str,
) -> Iterator[Figure]:
    """The accuracy over all, then of each kind, beside that of chance and of `others`."""
    right = [each.right for each in posed]
    mine = accuracy(predicted, right).per_item
    theirs = {name: accuracy(said, right).per_item for name, said in others.items()}
    kinds = np.array([each.kind for each in posed])
    pictures = np.array([each.ask.pictures[0] for each in posed])
    metric = f"{task}_accuracy"
    for kind in ("", *sorted(set(kinds.tolist()) - {""})):
        rows = kinds == kind if kind else np.ones(len(kinds), dtype=bool)
        yield figure_of(
            NAMES[task],
            accuracy_signature(
                f"{metric}_{slug(kind)}" if kind else metric,
                split=split,
                counts={"statements": int(rows.sum()), "pictures": len(set(pictures[rows]))},
            ),
            by_picture(mine[rows], pictures[rows]),
            baselines={
                "chance": 1 / classes,
                **{name: float(values[rows].mean()) for name, values in theirs.items()},
            },
        )


def blind_labels(posed: Sequence[Posed], learned: Sequence[Posed]) -> dict[str, list[str]]:
    """The commonest label of training; and the commonest of the same text, else of all."""
    majority = most_frequent([each.right for each in learned])
    by_text = AnswersByQuestion.of((each.ask.text, {each.right: 1}) for each in learned)
    return {
        "majority_label": [majority] * len(posed),
        "most_common_label_of_text": [by_text.answer(each.ask.text) for each in posed],
    }
