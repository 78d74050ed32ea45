"""Answers to questions about scenes: right or wrong, over all and for each kind of question."""

from collections.abc import Iterator, Sequence

import numpy as np

from mplug.metrics.baselines import AnswersByQuestion, most_frequent
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.signature import accuracy_signature
from mplug.metrics.vqa import exact_accuracy
from mplug.tasks.asked import Posed
from mplug.tasks.figures import Figure, Floats, figure_of

METRIC = "answer_accuracy"


def answer_figures(
    predicted: Sequence[str],
    posed: Sequence[Posed],
    *,
    others: dict[str, Sequence[str]],
    split: str,
    settings: dict[str, str],
) -> Iterator[Figure]:
    """The accuracy over all questions, then of each kind, in alphabetical order.

    `others` are answers to the same questions by name, of what does not see.
    """
    right = [each.right for each in posed]
    mine = exact_accuracy(predicted, right).per_item
    theirs = {name: exact_accuracy(said, right).per_item for name, said in others.items()}
    kinds = np.array([each.kind for each in posed])
    pictures = np.array([each.ask.pictures[0] for each in posed])
    for kind in ("", *sorted(set(kinds.tolist()) - {""})):
        rows = kinds == kind if kind else np.ones(len(kinds), dtype=bool)
        yield figure_of(
            "answering",
            accuracy_signature(
                f"{METRIC}_{slug(kind)}" if kind else METRIC,
                split=split,
                counts={"questions": int(rows.sum()), "pictures": len(set(pictures[rows]))},
                settings=settings,
            ),
            by_picture(mine[rows], pictures[rows]),
            baselines={name: float(values[rows].mean()) for name, values in theirs.items()},
        )


def blind_answers(posed: Sequence[Posed], learned: Sequence[Posed]) -> dict[str, list[str]]:
    """The commonest answer of training; and the commonest to the same text, else to its kind."""
    majority = most_frequent([each.right for each in learned])
    by_kind = {
        kind: AnswersByQuestion.of(
            (each.ask.text, {each.right: 1}) for each in learned if each.kind == kind
        )
        for kind in {each.kind for each in learned}
    }
    by_text = [
        by_kind[each.kind].answer(each.ask.text) if each.kind in by_kind else majority
        for each in posed
    ]
    return {"majority_answer": [majority] * len(posed), "most_common_answer_to_text": by_text}


def by_picture(values: Floats, pictures: np.ndarray) -> Floats:
    """Sums and counts of each picture [pictures, 2]: what is asked of one is drawn together."""
    return mean_parts(values, scene_of=np.unique(pictures, return_inverse=True)[1])


def slug(kind: str) -> str:
    """A kind as part of a metric's name."""
    return kind.replace(" ", "_").replace("/", "_")
