"""Recall at k and median rank, both ways, with many captions per image and honest ties.

Items that score the same could come in any order, so they are counted by expectation over all
orders: a model that gives every item the same score gets exactly the recall of chance, and no
sorting routine can lend it more.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Grades = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def grades(
    similarity: npt.ArrayLike,
    *,
    rerank_scores: npt.ArrayLike | None = None,
    ranked_mask: npt.ArrayLike | None = None,
) -> Grades:
    """How good each item is for its query, as small integers: higher is better, equal is tied.

    With `rerank_scores`, items where `ranked_mask` is True come first, by their rerank score and
    then by similarity; the others follow by similarity. All arrays are [queries, items]; rerank
    scores outside the mask are not read.

    Raises:
        ValueError: shapes differ, only one of the two rerank arrays is given, or a score is nan.
    """
    columns = [_scores(similarity, name="similarity")]
    if (rerank_scores is None) != (ranked_mask is None):
        raise ValueError("rerank_scores and ranked_mask are given together or not at all")
    if rerank_scores is not None and ranked_mask is not None:
        ranked = np.asarray(ranked_mask, dtype=np.bool_)
        scores = np.asarray(rerank_scores, dtype=np.float64)
        _same_shape("similarity", columns[0], "rerank_scores", scores)
        _same_shape("similarity", columns[0], "ranked_mask", ranked)
        chosen = _scores(np.where(ranked, scores, 0.0), name="rerank_scores")
        columns = [columns[0], chosen, ranked.astype(np.float64)]
    return _dense_places(columns)


def order(
    similarity: npt.ArrayLike,
    *,
    rerank_scores: npt.ArrayLike | None = None,
    ranked_mask: npt.ArrayLike | None = None,
) -> npt.NDArray[np.intp]:
    """Positions of the items of each query, best first [queries, items]; tied ones as they lay."""
    graded = grades(similarity, rerank_scores=rerank_scores, ranked_mask=ranked_mask)
    return np.argsort(-graded, axis=1, kind="stable")


def ground_truth(image_of_text: npt.ArrayLike, *, images: int) -> Flags:
    """True where a text belongs to an image [images, texts].

    Raises:
        ValueError: a text names an image that is not there, or an image has no text.
    """
    owner = np.asarray(image_of_text, dtype=np.int64)
    wrong = np.flatnonzero((owner < 0) | (owner >= images))
    if wrong.size:
        raise ValueError(
            f"text {wrong[0]} belongs to image {owner[wrong[0]]}, but there are {images} images"
        )
    right = np.zeros((images, len(owner)), dtype=np.bool_)
    right[owner, np.arange(len(owner))] = True
    lonely = np.flatnonzero(~right.any(axis=1))
    if lonely.size:
        raise ValueError(f"image {lonely[0]} has no text, so it cannot be a query")
    return right


def hits(graded: npt.ArrayLike, right: Flags, *, k: int) -> Floats:
    """The chance of each query [queries] that a right item is among its first k.

    It is 0 or 1 unless right and wrong items are tied across place k.
    """
    return hits_at(graded, right, at=(k,))[k]


def hits_at(graded: npt.ArrayLike, right: Flags, *, at: Sequence[int]) -> dict[int, Floats]:
    """`hits` for several k; the tables, which are large, are looked through once."""
    ahead, tied_wrong, tied_right = _around_best(graded, right)
    tied = tied_wrong + tied_right
    found = {}
    for k in at:
        room = k - ahead
        chances = (room >= tied).astype(np.float64)
        for query in np.flatnonzero((room > 0) & (room < tied)):
            wrong, both, places = int(tied_wrong[query]), int(tied[query]), int(room[query])
            chances[query] = 1.0 - comb(wrong, places) / comb(both, places)
        found[k] = chances
    return found


def ranks(graded: npt.ArrayLike, right: Flags) -> Floats:
    """The expected place, from 1, of each query's best right item [queries]."""
    ahead, tied_wrong, tied_right = _around_best(graded, right)
    return ahead + (tied_wrong + tied_right + 1) / (tied_right + 1)


def recall(graded: npt.ArrayLike, right: Flags, *, k: int) -> float:
    """The share of queries that have a right item among their first k; see `hits`."""
    return float(hits(graded, right, k=k).mean())


def median_rank(graded: npt.ArrayLike, right: Flags) -> float:
    """The median over queries of the place, from 1, of the best right item; see `ranks`."""
    return float(np.median(ranks(graded, right)))


def retrieval_scores(
    image_to_text: npt.ArrayLike,
    *,
    image_of_text: npt.ArrayLike,
    text_to_image: npt.ArrayLike | None = None,
    at: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    """Recalls (fractions) and median ranks (from 1), both ways.

    `image_to_text` is [images, texts] and `text_to_image` [texts, images], similarities or
    `grades`; the latter is the former's transpose unless given. An image's recall asks for any
    one of its texts. Keys: `recall_at_{k}_image_to_text`, `recall_at_{k}_text_to_image`,
    `median_rank_image_to_text`, `median_rank_text_to_image`.
    """
    by_image = np.asarray(image_to_text)
    by_text = by_image.T if text_to_image is None else np.asarray(text_to_image)
    right = ground_truth(image_of_text, images=len(by_image))
    result = {}
    for way, graded, truth in [
        ("image_to_text", by_image, right),
        ("text_to_image", by_text, right.T),
    ]:
        for k in at:
            result[f"recall_at_{k}_{way}"] = recall(graded, truth, k=k)
        result[f"median_rank_{way}"] = median_rank(graded, truth)
    return result


def published_scores(scores: dict[str, float], *, gallery: str = "img") -> dict[str, float]:
    """The same figures as papers print them: percent, `txt_r1`, `img_r1`, ..., and their means.

    `gallery` is what texts search: `img`, or `vid`, which adds the median rank `vid_mdR`.
    """
    result: dict[str, float] = {}
    for name, way in [("txt", "image_to_text"), (gallery, "text_to_image")]:
        recalls = {k: 100.0 * scores[f"recall_at_{k}_{way}"] for k in (1, 5, 10)}
        result |= {f"{name}_r{k}": recall for k, recall in recalls.items()}
        result[f"{name}_r_mean"] = sum(recalls.values()) / len(recalls)
    if gallery == "vid":
        result["vid_mdR"] = scores["median_rank_text_to_image"]
    result["r_mean"] = (result["txt_r_mean"] + result[f"{gallery}_r_mean"]) / 2
    return result


def _around_best(graded: npt.ArrayLike, right: Flags) -> tuple[Grades, Grades, Grades]:
    """How many items lie before a query's best right one, and how many wrong and right tie it."""
    values = _scores(graded, name="similarity")
    _same_shape("similarity", values, "ground truth", right)
    best = np.where(right, values, -np.inf).max(axis=1, keepdims=True)
    tied = values == best
    ahead = (values > best).sum(axis=1)
    return ahead, (tied & ~right).sum(axis=1), (tied & right).sum(axis=1)


def _dense_places(columns: list[Floats]) -> Grades:
    """Number the distinct items of each row from worst to best; the last column counts most."""
    by_row = np.lexsort(columns, axis=1)
    rises = np.zeros(by_row.shape, dtype=np.bool_)
    for column in columns:
        values = np.take_along_axis(column, by_row, axis=1)
        rises[:, 1:] |= values[:, 1:] != values[:, :-1]
    result = np.empty(by_row.shape, dtype=np.int64)
    np.put_along_axis(result, by_row, np.cumsum(rises, axis=1), axis=1)
    return result


def _scores(values: npt.ArrayLike, *, name: str) -> Floats:
    result = np.asarray(values, dtype=np.float64)
    if result.ndim != 2:
        raise ValueError(f"{name} must be [queries, items], not of shape {result.shape}")
    if np.isnan(result).any():
        row, column = np.argwhere(np.isnan(result))[0]
        raise ValueError(f"{name} is not a number at query {row}, item {column}")
    return result


def _same_shape(
    name: str, first: npt.NDArray[np.generic], other_name: str, other: npt.NDArray[np.generic]
) -> None:
    if first.shape != other.shape:
        raise ValueError(f"{name} is {first.shape} but {other_name} is {other.shape}")
