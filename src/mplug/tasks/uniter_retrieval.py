"""Retrieval with hard negatives: of many wrong partners, those that score best are learned from."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.config.schema_uniter_run import UniterRetrieval
from mplug.data.regions.batch import RegionBatch
from mplug.models.uniter import Uniter
from mplug.objectives.ranking import triplet
from mplug.tasks.uniter_objectives import seen

AT_ONCE = 512  # pairs scored together where nothing is learned from them
Rows = Int[Tensor, "pairs"]


def ranking_losses(
    model: Uniter,
    batch: RegionBatch,
    *,
    settings: UniterRetrieval,
    uniforms: Float[Tensor, "batch candidates"],
) -> Float[Tensor, "pairs wrong"]:
    """A row for each text, then for each picture; a loss for each of its hardest partners.

    Candidates are others of the batch, drawn by `uniforms`; those that are right too are never
    taken for wrong ones, and cost nothing where there are no others.
    """
    same = same_pairs(batch)
    own = torch.arange(len(same), device=same.device)
    right = score_pairs(model, batch, own, own)
    wrong = [
        _hardest(model, batch, same, settings=settings, uniforms=uniforms, texts=texts)
        for texts in (True, False)
    ]
    scores = torch.cat([score for score, _ in wrong])
    allowed = torch.cat([allowed for _, allowed in wrong])
    losses = triplet(right.repeat(2), scores, margin=settings.margin)
    return losses.where(allowed, 0.0)


def _hardest(
    model: Uniter,
    batch: RegionBatch,
    same: Bool[Tensor, "batch batch"],
    *,
    settings: UniterRetrieval,
    uniforms: Float[Tensor, "batch candidates"],
    texts: bool,
) -> tuple[Float[Tensor, "batch wrong"], Bool[Tensor, "batch wrong"]]:
    """Scores of the hardest wrong pictures of each text (or texts of each picture)."""
    keys = uniforms.masked_fill(same, 2.0)  # the right ones last
    candidates = keys.argsort(dim=1)[:, : min(settings.candidates, len(same) - 1)]
    rows = torch.arange(len(same), device=same.device)[:, None].expand_as(candidates)

    def score(places: Int[Tensor, "batch some"], rows: Int[Tensor, "batch some"]) -> Tensor:
        sides = (rows, places) if texts else (places, rows)
        found = score_pairs(model, batch, *(side.reshape(-1) for side in sides))
        return found.reshape(places.shape)

    with torch.no_grad():
        seen_so = score(candidates, rows).masked_fill(same.gather(1, candidates), -torch.inf)
    best = seen_so.topk(min(settings.hardest, candidates.shape[1]), dim=1).indices
    hardest = candidates.gather(1, best)
    return score(hardest, rows[:, : hardest.shape[1]]), ~same.gather(1, hardest)


def score_pairs(
    model: Uniter, batch: RegionBatch, texts: Rows, pictures: Rows
) -> Float[Tensor, "pairs"]:
    """Rank logits of these texts beside these pictures of the batch, some at once."""
    return read_pairs(model, batch, texts, pictures, score=model.rank)


def read_pairs(
    model: Uniter,
    batch: RegionBatch,
    texts: Rows,
    pictures: Rows,
    *,
    score: Callable[[Tensor], Float[Tensor, "some"]],
) -> Float[Tensor, "pairs"]:
    """What `score` says of the states of these texts that have read these pictures."""
    scores = []
    for start in range(0, len(texts), AT_ONCE):
        some, shown = texts[start : start + AT_ONCE], pictures[start : start + AT_ONCE]
        regions = batch.regions.rows(shown)
        joint = model.encode(batch.ids[some], batch.mask[some], seen(regions))
        scores.append(score(joint.text))
    return torch.cat(scores)


def same_pairs(batch: RegionBatch) -> Bool[Tensor, "batch batch"]:
    """Which texts are right for which pictures, as far as the batch says."""
    return (batch.image_ids[:, None] == batch.image_ids) | (
        batch.caption_ids[:, None] == batch.caption_ids
    )
