"""Search among records' pictures and captions: by similarity, and with the nearest matched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mplug.data.records import Record
from mplug.data.text import clean_caption
from mplug.errors import DataError
from mplug.metrics.baselines import chance_recall
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.retrieval import grades, ground_truth, hits_at
from mplug.metrics.signature import retrieval_signature
from mplug.tasks.evaluation import BLANK
from mplug.tasks.figures import Figure, Floats, figure_of
from mplug.tasks.observer import Images, Observer, Progress, Texts, silent
from mplug.tasks.record_evaluation import asking, one_a_picture
from mplug.tasks.record_reading import LeftOut, Reading

AT = (1, 5, 10)  # places that recall looks at
RERANKED = 256  # nearest that matching looks at again, as released for pictures
IMAGE_TO_TEXT, TEXT_TO_IMAGE = "image_to_text", "text_to_image"

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SearchEvaluation:
    """Figures of search, the records not evaluated, and the scores that ranks follow from."""

    figures: tuple[Figure, ...]
    left_out: tuple[LeftOut, ...]
    pictures: tuple[Record, ...] = field(repr=False)  # with all their captions, in order
    scores: Floats = field(repr=False)  # similarities [images, texts]


class Way(NamedTuple):
    """One way to search: a table [queries, items], what is right, and each query's picture."""

    name: str
    table: Floats
    blank: Floats
    right: Flags
    picture: Places


def evaluate_search(
    observer: Observer,
    records: Sequence[Record],
    *,
    split: str,
    top: int = RERANKED,
    progress: Progress = silent,
) -> SearchEvaluation:
    """Recall at 1, 5 and 10 both ways: by similarity, by matching the `top` nearest, by both.

    All captions of a picture are right, and each is a query of its own. `top` 0 leaves matching
    out; a smaller gallery is matched whole.

    Raises:
        DataError: no picture with a caption can be read, or a record shows a clip.
    """
    clip = next((record for record in records if record.video is not None), None)
    if clip is not None:
        raise DataError(f"{clip.source}: a clip; search among still pictures alone")
    asked, idle = asking(one_a_picture(records), "retrieval")
    shown, images, unread = _encoded(observer, asked, progress)
    captions = [record.caption for record in shown]
    texts = _texts(observer, [text for each in captions for text in each])
    table = observer.similarity(images, texts)
    blank = np.broadcast_to(observer.similarity(_grey(observer), texts), table.shape)
    figures: list[Figure] = []
    for way in both_ways(table, blank, captions=[len(each) for each in captions]):
        figures += recall_figures(way, way.table, {BLANK: way.blank}, split=split)
        if top:
            figures += _reranked(
                observer, images, texts, way, top=top, split=split, progress=progress
            )
    return SearchEvaluation(tuple(figures), (*idle, *unread), tuple(shown), table)


def both_ways(table: Floats, blank: Floats, *, captions: Sequence[int]) -> tuple[Way, Way]:
    """Search by pictures and by texts, from similarities [images, texts] and a blank picture's.

    `captions` says how many texts each picture has; they stand in the order of the pictures.
    """
    owner = np.repeat(np.arange(len(captions)), captions)
    right = ground_truth(owner, images=len(captions))
    return (
        Way(IMAGE_TO_TEXT, table, blank, right, np.arange(len(captions))),
        Way(TEXT_TO_IMAGE, table.T, blank.T, right.T, owner),
    )


def _encoded(
    observer: Observer, records: Sequence[Record], progress: Progress
) -> tuple[list[Record], Images, list[LeftOut]]:
    reading = Reading(records, observer.model.config.vision.image_size)
    found: dict[int, Images] = {}
    for seen in reading.batches():
        states = observer.images(seen.pixels)
        found |= {place: states[row] for place, (row,) in zip(seen.places, seen.rows, strict=True)}
        progress(max(found) + 1, len(records))
    if not found:
        raise DataError(
            f"the picture of none of the {len(records)} records can be read: {reading.left_out[0]}"
        )
    places = sorted(found)
    images = torch.stack([found[place] for place in places])
    return [records[place] for place in places], images, reading.left_out


def _texts(observer: Observer, captions: Sequence[str]) -> Texts:
    """Captions as retrieval is trained on them, cut to the model's positions."""
    tokenizer, longest = observer.tokenizer, observer.model.config.text.max_positions
    rows = [[tokenizer.cls_id, *tokenizer.encode(clean_caption(text))] for text in captions]
    return observer.encoded([row[:longest] for row in rows])


def _grey(observer: Observer) -> Images:
    size = observer.model.config.vision.image_size
    return observer.images(np.zeros((1, 3, size, size), dtype=np.float32))


def recall_figures(
    way: Way,
    graded: npt.ArrayLike,
    others: Mapping[str, Floats],
    *,
    split: str,
    suffix: str = "",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Figure]:
    """Recalls of one way to search by `graded` [queries, items], beside chance and `others`."""
    queries, items = way.right.shape
    images, texts = (queries, items) if way.name == IMAGE_TO_TEXT else (items, queries)
    found = hits_at(graded, way.right, at=AT)
    beside = {name: hits_at(table, way.right, at=AT) for name, table in others.items()}
    for k in AT:
        metric = f"recall_at_{k}_{way.name}{suffix}"
        chances = [
            chance_recall(gallery=items, k=k, right=n) for n in way.right.sum(axis=1).tolist()
        ]
        yield figure_of(
            "retrieval",
            retrieval_signature(metric, split=split, images=images, texts=texts),
            mean_parts(found[k], scene_of=way.picture),
            baselines={
                "chance": float(np.mean(chances)),
                **{name: float(each[k].mean()) for name, each in beside.items()},
            },
            settings=settings,
        )


def _reranked(
    observer: Observer,
    images: Images,
    texts: Texts,
    way: Way,
    *,
    top: int,
    split: str,
    progress: Progress,
) -> Iterator[Figure]:
    """The nearest put in order by matching, alone and added to similarity; the others follow."""
    top = min(top, way.table.shape[1])
    nearest = np.argsort(-way.table, axis=1, kind="stable")[:, :top]
    queries, found = np.repeat(np.arange(len(nearest)), top), nearest.reshape(-1)
    rows = (queries, found) if way.name == IMAGE_TO_TEXT else (found, queries)
    matches = observer.match(
        images, texts, image_rows=rows[0], text_rows=rows[1], progress=progress
    )
    judged, matched = np.zeros(way.table.shape, dtype=np.bool_), np.zeros(way.table.shape)
    judged[queries, found], matched[queries, found] = True, matches
    give = partial(
        recall_figures,
        way,
        others={"similarity_alone": way.table},
        split=split,
        settings={"reranked": str(top)},
    )
    for name, scores in (
        ("itm", matched),
        ("itc_and_itm", matched + way.table / observer.temperature),
    ):
        graded = grades(way.table, rerank_scores=scores, ranked_mask=judged)
        yield from give(graded, suffix=f"_by_{name}")
