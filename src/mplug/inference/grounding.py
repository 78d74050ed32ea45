"""From a phrase to boxes: four coordinates, written one after another, and nothing but coordinates.

A box is its centre's x and y, its width and its height, each the number of a bin. Only the tokens
of coordinates may be written, so every result is a box; probabilities are shares among them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.inference.generate import Decoder, log_probabilities, repeated_rows

COORDINATES = 4

Places = Int[Tensor, "images hypotheses written"]
Scores = Float[Tensor, "images hypotheses"]


class FoundBoxes(NamedTuple):
    """The likeliest boxes of each image, best first."""

    bins: Int[Tensor, "images best 4"]  # of centre x, centre y, width, height
    scores: Float[Tensor, "images best"]  # log-probability; -inf where there is no further box


class _Chosen(NamedTuple):
    """Hypotheses longer by one coordinate: scores, the hypothesis each continues, its new bin."""

    scores: Float[Tensor, "images beams"]
    origin: Int[Tensor, "images beams"]
    bins: Int[Tensor, "images beams"]


def find_boxes(
    decoder: Decoder,
    memory: Float[Tensor, "images keys dim"],
    memory_mask: Bool[Tensor, "images keys"] | None = None,
    *,
    start_id: int,
    box_ids: range,
    beams: int = 1,
    best: int = 1,
    apart: int = 1,
) -> FoundBoxes:
    """The `best` boxes (at most `beams`) for each row of `memory`; one beam is greedy search.

    Neighbouring bins are nearly the same box, and a peak is many bins wide. Hypotheses that differ
    by less than `apart` bins in every coordinate so far therefore count as one, the likeliest of
    them; 1 is plain beam search. The memory is projected once; put the model in eval mode first.
    """
    images, device = memory.shape[0], memory.device
    with torch.no_grad():
        cache = decoder.start(memory, memory_mask)
        logits, cache = decoder.step(torch.full((images, 1), start_id, device=device), cache)
        cache = cache.reorder(repeated_rows(images, times=beams, device=device))
        said = log_probabilities(logits[:, box_ids.start : box_ids.stop])
        chosen = _choose(
            said[:, None], said.new_empty(images, 1, 0).long(), beams=beams, apart=apart
        )
        places = chosen.bins[:, :, None]
        first_row = torch.arange(images, device=device)[:, None] * beams
        for _ in range(COORDINATES - 1):
            words = chosen.bins.reshape(-1, 1) + box_ids.start
            logits, cache = decoder.step(words, cache)
            said = log_probabilities(logits[:, box_ids.start : box_ids.stop])
            totals = chosen.scores[:, :, None] + said.reshape(images, beams, -1)
            chosen = _choose(totals, places, beams=beams, apart=apart)
            cache = cache.reorder((first_row + chosen.origin).flatten())
            before = places.gather(1, chosen.origin[:, :, None].expand_as(places))
            places = torch.cat([before, chosen.bins[:, :, None]], dim=2)
    return FoundBoxes(places[:, :best], chosen.scores[:, :best])


def _choose(
    totals: Float[Tensor, "images hypotheses bins"], places: Places, *, beams: int, apart: int
) -> _Chosen:
    """The likeliest continuations, each at least `apart` from all that are likelier."""
    bins = torch.arange(totals.shape[2], device=totals.device)
    rows = torch.arange(len(totals), device=totals.device)
    picked: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(beams):
        scores, cells = totals.flatten(1).max(dim=1)
        origin, new = cells // len(bins), cells % len(bins)
        picked.append((scores, origin, new))
        same_before = ((places - places[rows, origin][:, None]).abs() < apart).all(dim=2)
        same_now = (bins - new[:, None]).abs() < apart
        totals = totals.masked_fill(same_before[:, :, None] & same_now[:, None], -torch.inf)
    return _Chosen(*(torch.stack(parts, dim=1) for parts in zip(*picked, strict=True)))
