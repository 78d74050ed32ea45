"""Boxes found for phrases: how many overlap the true one enough, and how much they overlap."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mplug.metrics.baselines import CentreBox
from mplug.metrics.grounding import grounding_accuracy
from mplug.metrics.signature import Signature, grounding_signature
from mplug.tasks.asked import Posed
from mplug.tasks.evaluate_answers import by_picture, slug
from mplug.tasks.figures import Figure, Floats, figure_of


def box_figures(
    predicted: Floats,
    posed: Sequence[Posed],
    *,
    others: Mapping[str, Floats],
    split: str,
) -> Iterator[Figure]:
    """Acc@0.5 and mean IoU, then Acc@0.5 of each kind of phrase.

    `predicted` and each of `others` are x0, y0, x1, y1 in shares of the sides [phrases, 4].
    """
    true = [np.array(each.boxes) for each in posed]
    mine = grounding_accuracy(predicted, true)
    theirs = {name: grounding_accuracy(boxes, true) for name, boxes in others.items()}
    kinds = np.array([each.kind for each in posed])
    pictures = np.array([each.ask.pictures[0] for each in posed])
    everything = np.ones(len(posed), dtype=bool)

    def figure(signature: Signature, rows: np.ndarray, measure: str) -> Figure:
        return figure_of(
            "grounding",
            signature,
            by_picture(getattr(mine, measure)[rows], pictures[rows]),
            baselines={
                name: float(getattr(each, measure)[rows].mean()) for name, each in theirs.items()
            },
        )

    signature = grounding_signature(split=split, phrases=len(posed))
    yield figure(signature, everything, "found")
    counts, settings = {"phrases": len(posed)}, {"true_box": "best"}
    yield figure(Signature("mean_iou", split, counts, settings), everything, "iou")
    for kind in sorted(set(kinds.tolist()) - {""}):
        rows = kinds == kind
        named = grounding_signature(split=split, phrases=int(rows.sum()))
        named = Signature(f"{named.metric}_{slug(kind)}", split, named.counts, named.settings)
        yield figure(named, rows, "found")


def blind_boxes(posed: Sequence[Posed], learned: Sequence[Posed]) -> dict[str, Floats]:
    """The box in the middle, as large as training's in the median; and the mean of training's."""
    known = np.array([box for each in learned for box in each.boxes])
    return {
        name: np.broadcast_to(box, (len(posed), 4))
        for name, box in {
            "centre_box": CentreBox.of(known).box(),
            "mean_box": known.mean(axis=0),
        }.items()
    }
