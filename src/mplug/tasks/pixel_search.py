"""How far comparing pixels gets in finding texts for pictures: the baseline of a dual encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mplug.data.media import load_image
from mplug.data.records import Record, read_records
from mplug.errors import DataError
from mplug.metrics.baselines import Features
from mplug.metrics.bootstrap import Interval, interval, mean_parts
from mplug.metrics.pixel_retrieval import Floats, pixel_similarity
from mplug.metrics.retrieval import hits

RANKS = (1, 5, 10)
WAYS = ("image_to_text", "text_to_image")
# Means over cells: of 8, 16 and 32 cells a side the coarsest found most among validation emoji, and
# twice what `baselines.pixel_features` did, whose histogram misleads where artists choose colours.
CELLS = 8


class PixelSearch(NamedTuple):
    """What comparing pixels finds among the pictures and texts of a test."""

    images: int
    texts: int
    known: int  # pictures that are compared with
    recalls: dict[str, float]  # fractions, by names such as recall_at_1_image_to_text
    intervals: dict[str, Interval]  # the central 95% of each, over resampled queries


def pixel_search(train: str | Path, test: str | Path) -> PixelSearch:
    """Texts of `test` by the pictures of `train` that have the same one, in every letter.

    A picture's score for a text is how much it looks like the nearest training picture of that
    text. Texts are the first caption of each record; one that several records share counts once.

    Raises:
        DataError: a file cannot be read, a record has no picture or caption, or no text of the
            test is one of the training pictures'.
    """
    known, asked = (_captioned(path) for path in (train, test))
    places = {text: place for place, text in enumerate(dict.fromkeys(text for _, text in asked))}
    owners = [places.get(text, -1) for _, text in known]
    if max(owners, default=-1) < 0:
        raise DataError(f"{train}: no picture there has a text of {test}: nothing can be found")
    similarity = pixel_similarity(
        _features(asked), known=_features(known), text_of_known=owners, texts=len(places)
    )
    right = np.zeros(similarity.shape, dtype=np.bool_)
    right[np.arange(len(asked)), [places[text] for _, text in asked]] = True
    recalls, intervals = _recalls(similarity, right)
    return PixelSearch(len(asked), len(places), len(known), recalls, intervals)


def _recalls(similarity: Floats, right: np.ndarray) -> tuple[dict[str, float], dict[str, Interval]]:
    recalls, intervals = {}, {}
    for way, scores, truth in zip(WAYS, (similarity, similarity.T), (right, right.T), strict=True):
        for rank in RANKS:
            found = hits(scores, truth, k=rank)
            recalls[f"recall_at_{rank}_{way}"] = float(found.mean())
            intervals[f"recall_at_{rank}_{way}"] = interval(mean_parts(found))
    return recalls, intervals


def _captioned(path: str | Path) -> list[tuple[str, str]]:
    """Picture and first caption of every record."""
    return [_picture_and_text(record) for record in read_records(path).require()]


def _picture_and_text(record: Record) -> tuple[str, str]:
    if len(record.images) != 1 or not record.caption:
        raise DataError(f"{record.source}: needs one picture and a caption to be searched")
    return record.images[0], record.caption[0]


def _features(pairs: Sequence[tuple[str, str]]) -> Features:
    """Colours of a coarse grid over each picture, 0 to 1 [pictures, values]."""
    return np.stack([_grid(load_image(path)) for path, _ in pairs])


def _grid(picture: Image.Image) -> Features:
    small = picture.resize((CELLS, CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)
