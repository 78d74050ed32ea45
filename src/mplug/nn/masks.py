"""Attention masks: boolean, True = may look, broadcastable to [batch, queries, keys]."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def causal_mask(queries: int, *, keys: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
    """Each query sees the keys up to its own place; the queries are the last of the keys."""
    places = torch.arange(keys, device=device)
    return places <= places[keys - queries :, None]


def prefix_mask(written: Bool[Tensor, "batch places"]) -> Bool[Tensor, "batch places places"]:
    """One sequence of which a part is read and a part is `written`, wherever in it each stands.

    What is read sees all that is read, and nothing written; what is written also sees what was
    written before it, and itself.
    """
    places = torch.arange(written.shape[1], device=written.device)
    before = places <= places[:, None]
    return ~written[:, None] | (written[:, :, None] & before)


def as_keys(mask: Bool[Tensor, "batch keys"] | None) -> Bool[Tensor, "batch 1 keys"] | None:
    """A padding mask, seen alike by every query."""
    return None if mask is None else mask[:, None]


def rows_of(
    mask: Bool[Tensor, "images keys"] | None, places: Int[Tensor, "batch"]
) -> Bool[Tensor, "batch keys"] | None:
    """The padding masks of the images at `places`."""
    return None if mask is None else mask[places]


def join(
    first: Bool[Tensor, "batch first"] | None,
    second: Bool[Tensor, "batch second"] | None,
    *,
    lengths: tuple[int, int],
    batch: int,
    device: torch.device,
) -> Bool[Tensor, "batch both"] | None:
    """The padding mask of two sequences joined; None stands for a sequence without padding."""
    if first is None and second is None:
        return None
    whole = [
        torch.ones(batch, length, dtype=torch.bool, device=device) if mask is None else mask
        for mask, length in zip((first, second), lengths, strict=True)
    ]
    return torch.cat(whole, dim=1)
